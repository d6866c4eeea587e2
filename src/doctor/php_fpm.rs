//! php-fpm: what `php-fpm -tt` shows, and the files it says it has read. Pure.

use super::config_text::{File, Separator, commented_out, duration, last_value};
use super::{Facts, Finding, seconds};

/// php-fpm as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PhpFpm {
    /// The output of `php-fpm -tt`.
    pub(super) shown: String,
    /// Its main file and what that includes.
    pub(super) files: Vec<File>,
}

impl PhpFpm {
    /// A value as php-fpm shows it: `[date] NOTICE: <tab>name = value`.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.shown.lines().find_map(|line| {
            let (key, value) = line.split_once("NOTICE:")?.1.split_once(" = ")?;
            (key.trim() == name).then(|| value.trim())
        })
    }
}

/// The main file, which the last line names: `configuration file /etc/php/fpm.conf test is successful`.
pub(super) fn main_file(shown: &str) -> Option<&str> {
    shown.split_once("configuration file ")?.1.split_once(" test is").map(|(path, _)| path)
}

/// The patterns of a file's `include` lines.
pub(super) fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "include").then(|| value.trim().trim_matches('"'))
    })
}

pub(super) fn process_control_timeout(facts: &Facts) -> Vec<Finding> {
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
    if facts.fits(time) {
        return Vec::new();
    }
    let left = facts.time_for_app.map(seconds).unwrap_or_default();
    let found = Finding::new(
        format!("process_control_timeout is {}, the budget leaves php-fpm {left}", seconds(time)),
        "SIGKILL comes before php-fpm would end the requests that are left",
        format!("{fix} or a larger terminationGracePeriodSeconds"),
    );
    vec![found.at(at)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SHOWN: &str = "[24-Nov-2026 22:16:17] NOTICE: [global]\n\
        [24-Nov-2026 22:16:17] NOTICE: \tprocess_control_timeout = 0s\n\
        [24-Nov-2026 22:16:17] NOTICE: \tdaemonize = yes\n\
        [24-Nov-2026 22:16:17] NOTICE:  \n\
        [24-Nov-2026 22:16:17] NOTICE: [www]\n\
        [24-Nov-2026 22:16:17] NOTICE: \tlisten = /run/php/php8.2-fpm.sock\n\
        [24-Nov-2026 22:16:17] NOTICE: configuration file /etc/php/8.2/fpm/php-fpm.conf test is successful\n";

    fn facts(shown: &str, text: &str) -> Facts {
        let files = vec![File { path: "/etc/fpm.conf".to_owned(), text: text.to_owned() }];
        Facts { php_fpm: Some(PhpFpm { shown: shown.to_owned(), files }), ..Facts::default() }
    }

    #[test]
    fn a_timeout_of_zero_is_found_at_the_line_to_change() {
        let found = process_control_timeout(&facts(SHOWN, "[global]\n;process_control_timeout = 0\n"));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert!(found[0].fix.starts_with("process_control_timeout = 10"), "{found:?}");
        assert_eq!(main_file(SHOWN), Some("/etc/php/8.2/fpm/php-fpm.conf"));
    }

    #[test]
    fn a_timeout_beyond_the_budget_is_found() {
        let shown = SHOWN.replace("timeout = 0s", "timeout = 60s");
        let mut facts = facts(&shown, "[global]\n\nprocess_control_timeout = 60\n");
        assert_eq!(process_control_timeout(&facts), []);
        facts.time_for_app = Some(Duration::from_secs(20));
        assert_eq!(process_control_timeout(&facts)[0].at.as_ref().expect("a place").line, 3);
    }

    #[test]
    fn includes_are_read() {
        assert_eq!(includes("[global]\ninclude=/a/*.conf\n;include=/b\n").collect::<Vec<_>>(), ["/a/*.conf"]);
    }
}
