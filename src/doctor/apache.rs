//! Apache httpd: the files that `-D DUMP_INCLUDES` names. Pure.

use super::config_text::{File, Separator, duration, last_value};
use super::{Facts, Finding, seconds};

/// Apache as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Apache {
    /// Every file it reads.
    pub(super) files: Vec<File>,
}

/// The files of `-D DUMP_INCLUDES`: `  (*) /etc/apache2/apache2.conf`, `    (146) /etc/...`.
pub(super) fn included(shown: &str) -> impl Iterator<Item = &str> {
    shown.lines().filter_map(|line| line.trim_start().strip_prefix('(')?.split_once(") ").map(|(_, path)| path.trim()))
}

pub(super) fn graceful_shutdown_timeout(facts: &Facts) -> Vec<Finding> {
    const KEY: &str = "GracefulShutdownTimeout";
    let Some(apache) = &facts.apache else { return Vec::new() };
    let said = last_value(&apache.files, KEY, Separator::Blank);
    let time = said.as_ref().and_then(|(value, _)| duration(value)).unwrap_or_default();
    let at = said.map(|(_, place)| place);
    let fix = format!("{KEY} {}", facts.seconds_for_app());
    if time.is_zero() {
        let found = Finding::new(
            "Apache has no GracefulShutdownTimeout",
            "one slow client keeps it from ending, and SIGKILL takes the others' requests with it",
            fix,
        );
        return vec![found.at(at)];
    }
    if facts.fits(time) {
        return Vec::new();
    }
    let left = facts.time_for_app.map(seconds).unwrap_or_default();
    let found = Finding::new(
        format!("GracefulShutdownTimeout is {}, the budget leaves Apache {left}", seconds(time)),
        "SIGKILL comes before Apache has closed what is left",
        format!("{fix} or a larger terminationGracePeriodSeconds"),
    );
    vec![found.at(at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_looked_for_in_the_included_files() {
        let shown = "Included configuration files:\n  (*) /etc/apache2/apache2.conf\n    (146) /etc/apache2/mods-enabled/mime.load\n";
        assert_eq!(
            included(shown).collect::<Vec<_>>(),
            ["/etc/apache2/apache2.conf", "/etc/apache2/mods-enabled/mime.load"]
        );
        let facts = |text: &str| {
            let files = vec![File { path: "/a.conf".to_owned(), text: text.to_owned() }];
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
