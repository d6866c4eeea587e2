//! php-fpm: how long it waits for its children. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::{Separator, commented_out, duration, last_value};
use crate::doctor::finding::Finding;

pub(crate) fn process_control_timeout(facts: &Facts) -> Vec<Finding> {
    const KEY: &str = "process_control_timeout";
    let Some(fpm) = &facts.php_fpm else { return Vec::new() };
    let Some(time) = fpm.value(KEY).and_then(duration) else { return Vec::new() };
    let at = last_value(&fpm.files, KEY, Separator::Equals).map(|(_, place)| place);
    let fix = format!("{KEY} = {}", facts.seconds_for_app());
    if time.is_zero() {
        let found = Finding::new(
            "process_control_timeout is 0",
            "at the stop php-fpm does not wait for its children: it ends them in the middle of their requests",
            format!("{fix} in [global]"),
        );
        return vec![found.at(at.or_else(|| commented_out(&fpm.files, KEY)))];
    }
    facts.beyond_budget("php-fpm", KEY, time, &fix, at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::config_text::ConfigFile;
    use crate::doctor::facts::php_fpm::PhpFpm;

    const SHOWN: &str = "[24-Nov-2026 22:16:17] NOTICE: [global]\n\
        [24-Nov-2026 22:16:17] NOTICE: \tprocess_control_timeout = 0s\n\
        [24-Nov-2026 22:16:17] NOTICE: \tdaemonize = yes\n\
        [24-Nov-2026 22:16:17] NOTICE:  \n\
        [24-Nov-2026 22:16:17] NOTICE: [www]\n\
        [24-Nov-2026 22:16:17] NOTICE: \tlisten = /run/php/php8.2-fpm.sock\n\
        [24-Nov-2026 22:16:17] NOTICE: configuration file /etc/php/8.2/fpm/php-fpm.conf test is successful\n";

    fn facts(shown: &str, text: &str) -> Facts {
        let files = vec![ConfigFile { path: "/etc/fpm.conf".to_owned(), text: text.to_owned() }];
        Facts { php_fpm: Some(PhpFpm { dump: shown.to_owned(), files }), ..Facts::default() }
    }

    #[test]
    fn a_timeout_of_zero_is_found_at_the_line_to_change() {
        let found = process_control_timeout(&facts(SHOWN, "[global]\n;process_control_timeout = 0\n"));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert!(found[0].fix.starts_with("process_control_timeout = 10"), "{found:?}");
    }

    #[test]
    fn a_timeout_beyond_the_budget_is_found() {
        let shown = SHOWN.replace("timeout = 0s", "timeout = 60s");
        let mut facts = facts(&shown, "[global]\n\nprocess_control_timeout = 60\n");
        assert_eq!(process_control_timeout(&facts), []);
        facts.time_for_app = Some(Duration::from_secs(20));
        assert_eq!(process_control_timeout(&facts)[0].at.as_ref().expect("a place").line, 3);
    }
}
