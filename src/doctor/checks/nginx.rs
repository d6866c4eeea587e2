//! nginx: the directives that decide what a stop loses. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::duration;
use crate::doctor::finding::Finding;
use bookend_lifecycle::signal::Signal;

pub(crate) fn worker_shutdown_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    let add = format!("worker_shutdown_timeout {}s;", facts.seconds_for_app());
    let Some(directive) = nginx.find("worker_shutdown_timeout") else {
        return vec![
            Finding::new(
                "nginx has no worker_shutdown_timeout",
                "one slow or silent client keeps nginx from ending, and SIGKILL takes the others' requests with it",
                format!("add to the main block: {add}"),
            )
            .at(nginx.main_file()),
        ];
    };
    let time = directive.args.first().and_then(|arg| duration(arg)).unwrap_or_default();
    let at = Some(directive.at.clone());
    facts.beyond_budget("nginx", "worker_shutdown_timeout", time, &add, at).into_iter().collect()
}

pub(crate) fn keepalive_min_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    let keep_alive_is_off =
        nginx.find("keepalive_timeout").is_some_and(|directive| directive.args.first().is_some_and(|arg| arg == "0"));
    if keep_alive_is_off || nginx.find("keepalive_min_timeout").is_some() {
        return Vec::new();
    }
    let why = "at the stop nginx closes idle keep-alive connections at once, and a request on its way there is lost";
    match nginx.version {
        Some(version) if version >= KEEPALIVE_MIN_TIMEOUT => {
            let found = Finding::new(
                "nginx has no keepalive_min_timeout",
                why,
                "add to the http block: keepalive_min_timeout 3s;",
            );
            vec![found.at(nginx.http_block())]
        }
        Some([major, minor, patch]) => {
            let what = format!("nginx {major}.{minor}.{patch} does not know keepalive_min_timeout");
            vec![Finding::note(what, why, "use 1.27.4 or later, or clients that retry")]
        }
        None => Vec::new(),
    }
}

/// The version that introduced it.
const KEEPALIVE_MIN_TIMEOUT: [u32; 3] = [1, 27, 4];

pub(crate) fn lingering_close(facts: &Facts) -> Vec<Finding> {
    let Some(directive) = facts.nginx.as_ref().and_then(|nginx| nginx.find("lingering_close")) else {
        return Vec::new();
    };
    if directive.args.first().is_none_or(|arg| arg != "off") {
        return Vec::new();
    }
    let found = Finding::new(
        "lingering_close is off",
        "nginx resets a connection on which the client still sends, and the client may lose the response",
        "remove it: on is the default",
    );
    vec![found.at(Some(directive.at.clone()))]
}

pub(crate) fn master_process(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    if !nginx.has("master_process", "off") {
        return Vec::new();
    }
    let found = Finding::new(
        "master_process is off",
        "it is for debugging: a worker that dies is not restarted, and a reload drops connections",
        "remove it",
    );
    vec![found.at(nginx.find("master_process").map(|directive| directive.at.clone()))]
}

pub(crate) fn worker_processes(facts: &Facts) -> Vec<Finding> {
    let Some(directive) = facts.nginx.as_ref().and_then(|nginx| nginx.find("worker_processes")) else {
        return Vec::new();
    };
    let container = &facts.container;
    let Some(quota) = container.cpu_quota.filter(|quota| container.cpus > quota.div_ceil(1000)) else {
        return Vec::new();
    };
    if directive.args.first().is_none_or(|arg| arg != "auto") {
        return Vec::new();
    }
    let found = Finding::note(
        format!("worker_processes auto starts {} workers, the cgroup allows {quota}m of CPU", container.cpus),
        "auto ignores the quota: while one worker runs, the others are throttled, and a stop waits for each",
        format!("worker_processes {};", quota.div_ceil(1000)),
    );
    vec![found.at(Some(directive.at.clone()))]
}

pub(crate) fn sigwinch(facts: &Facts) -> Vec<Finding> {
    let winch: Option<Signal> = "SIGWINCH".parse().ok();
    if facts.nginx.is_none() || winch.is_none_or(|winch| facts.settings.app.signals.contains_key(&winch)) {
        return Vec::new();
    }
    vec![Finding::note(
        "SIGWINCH is forwarded to nginx",
        "nginx then ends its workers; with a terminal (docker run -t) resizing the window does that",
        "signals = { SIGWINCH = \"ignore\" } in [app]",
    )]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::nginx::{DUMP, Nginx};
    use crate::doctor::finding::{FileLine, Severity};

    fn facts(dump: &str, global: &str, version: &str) -> Facts {
        Facts { nginx: Some(Nginx::read(dump, global, version)), ..Facts::default() }
    }

    #[test]
    fn a_worker_shutdown_timeout_is_missing_or_larger_than_the_budget() {
        let mut facts = facts(DUMP, "", "");
        facts.time_for_app = Some(Duration::from_secs(12));
        let found = worker_shutdown_timeout(&facts);
        assert!(found[0].fix.contains("worker_shutdown_timeout 12s;"), "{found:?}");
        let with = |time: &str| format!("# configuration file /n.conf:\n\nworker_shutdown_timeout {time};\n");
        facts.nginx = Some(Nginx::read(&with("1m"), "", ""));
        let found = worker_shutdown_timeout(&facts);
        assert_eq!(found[0].at, Some(FileLine { file: "/n.conf".to_owned(), line: 2 }));
        facts.nginx = Some(Nginx::read(&with("10s"), "", ""));
        assert_eq!(worker_shutdown_timeout(&facts), []);
    }

    #[test]
    fn keepalive_min_timeout_is_advised_if_the_version_has_it() {
        let weight =
            |version: &str| keepalive_min_timeout(&facts(DUMP, "", version)).first().map(|found| found.severity);
        assert_eq!(weight("nginx version: nginx/1.27.4"), Some(Severity::Finding));
        assert_eq!(weight("nginx version: nginx/1.22.1"), Some(Severity::Note));
        assert_eq!(weight("nginx version: openresty/1.27.1"), None);
        assert_eq!(keepalive_min_timeout(&facts(DUMP, "", "nginx/1.29.0"))[0].at.as_ref().expect("a place").line, 4);
        let off = "# configuration file /n.conf:\nhttp { keepalive_timeout 0; }\n";
        assert_eq!(keepalive_min_timeout(&facts(off, "", "nginx/1.29.0")), []);
    }

    #[test]
    fn more_workers_than_the_quota_allows_are_a_note() {
        let mut facts = facts("# configuration file /n.conf:\nworker_processes auto;\n", "", "");
        (facts.container.cpus, facts.container.cpu_quota) = (8, Some(1500));
        assert_eq!(worker_processes(&facts)[0].fix, "worker_processes 2;");
        facts.container.cpu_quota = Some(8000);
        assert_eq!(worker_processes(&facts), []);
        facts.container.cpu_quota = None;
        assert_eq!(worker_processes(&facts), []);
    }

    #[test]
    fn lingering_close_off_is_a_finding() {
        assert_eq!(lingering_close(&facts(DUMP, "", "")).len(), 1);
        assert_eq!(lingering_close(&facts("", "", "")), []);
    }
}
