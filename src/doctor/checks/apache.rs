//! Apache httpd: how long a graceful stop may take. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::{Separator, duration, last_value};
use crate::doctor::finding::Finding;

pub(crate) fn graceful_shutdown_timeout(facts: &Facts) -> Vec<Finding> {
    const KEY: &str = "GracefulShutdownTimeout";
    let Some(apache) = &facts.apache else { return Vec::new() };
    let set = last_value(&apache.files, KEY, Separator::Blank);
    let time = set.as_ref().and_then(|(value, _)| duration(value)).unwrap_or_default();
    let at = set.map(|(_, place)| place);
    let fix = format!("{KEY} {}", facts.seconds_for_app());
    if time.is_zero() {
        let found = Finding::new(
            "Apache has no GracefulShutdownTimeout",
            "one slow client keeps it from ending, and SIGKILL takes the others' requests with it",
            fix,
        );
        return vec![found.at(at)];
    }
    facts.beyond_budget("Apache", KEY, time, &fix, at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::apache::Apache;
    use crate::doctor::facts::config_text::ConfigFile;

    #[test]
    fn the_timeout_is_read_from_the_included_files() {
        let facts = |text: &str| {
            let files = vec![ConfigFile { path: "/a.conf".to_owned(), text: text.to_owned() }];
            Facts { apache: Some(Apache { files }), ..Facts::default() }
        };
        assert_eq!(graceful_shutdown_timeout(&facts("Listen 80\n")).len(), 1);
        assert_eq!(graceful_shutdown_timeout(&facts("Listen 80\n  gracefulshutdowntimeout 10\n")), []);
        assert_eq!(
            graceful_shutdown_timeout(&facts("GracefulShutdownTimeout 0\n"))[0].at.as_ref().expect("there").line,
            1
        );
    }
}
