//! QUIC (HTTP/3): requests over UDP, which a drain counts only with `udp = true`. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::finding::{FileLine, Finding};
use bookend_config::settings::HandlerKind;

pub(crate) fn quic(facts: &Facts) -> Vec<Finding> {
    let counts_udp = facts.settings.lifecycle.pre_stop.iter().any(|handler| match &handler.kind {
        HandlerKind::Drain(drain) => drain.udp,
        _ => false,
    });
    let Some(at) = listens(facts).filter(|_| facts.drains() && !counts_udp) else { return Vec::new() };
    let found = Finding::new(
        format!("{} serves QUIC (HTTP/3), and the drain counts TCP connections only", facts.command.program()),
        "clients that still come over UDP do not extend the drain, and are refused after it",
        "lifecycle.preStop.drain.udp = true, in a preStop handler of your own (docs/drain.md)",
    );
    vec![found.at(at)]
}

/// The line that switches it on: `listen 443 quic`, `http3 on`; haproxy's `bind quic4@:443`; Caddy's `protocols h1 h2 h3`; an option.
fn listens(facts: &Facts) -> Option<Option<FileLine>> {
    if let Some(nginx) = &facts.nginx {
        let is_quic = |args: &[String]| args.iter().any(|arg| arg == "quic");
        let found = nginx.directives.iter().find(|one| one.name == "listen" && is_quic(&one.args));
        return found.map(|found| Some(found.at.clone()));
    }
    let words = ["quic4@", "quic6@", "http/3", "h3"];
    let files = facts.server_files.iter().flatten();
    let mut lines =
        files.flat_map(|file| (1..).zip(file.text.lines()).map(move |(line, text)| (&file.path, line, text)));
    let is_comment = |text: &str| text.trim_start().starts_with('#');
    let line = lines.find(|(.., text)| {
        let mut parts = text.split(|c: char| c.is_whitespace() || "\",[]".contains(c));
        !is_comment(text)
            && parts.any(|part| words.iter().any(|word| part == *word || word.ends_with('@') && part.starts_with(word)))
    });
    if let Some((path, line, _)) = line {
        return Some(Some(FileLine { file: path.clone(), line }));
    }
    facts.command.option(&["--quic-bind"]).map(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::config_text::ConfigFile;
    use crate::doctor::facts::nginx::Nginx;

    fn facts(drain: &str, command: &str) -> Facts {
        let text = format!("lifecycle.preStop.drain = {{ {drain} }}");
        let files = vec![bookend_config::Document { name: "test".to_owned(), text }];
        let sources = bookend_config::Sources { files, ..Default::default() };
        let settings = bookend_config::load(&sources).expect("it is valid").settings;
        let command = AppCommand::new(command.split(' ').map(str::to_owned).collect(), |_| None);
        Facts { settings, command, ..Facts::default() }
    }

    #[test]
    fn a_drain_that_does_not_see_quic_is_found() {
        let dump = |listen: &str| format!("# configuration file /n.conf:\nhttp {{\n server {{\n  {listen};\n }}\n}}\n");
        let nginx = |drain: &str, listen: &str| {
            quic(&Facts { nginx: Some(Nginx::read(&dump(listen), "", "")), ..facts(drain, "nginx") })
        };
        assert_eq!(nginx("", "listen 443 quic reuseport")[0].at.as_ref().map(|at| at.line), Some(3));
        assert_eq!(nginx("udp = true", "listen 443 quic"), []);
        assert_eq!(nginx("", "listen 443 ssl"), []);
        for (program, text, count) in [
            ("haproxy", "frontend f\n  bind quic4@:443 ssl\n", 1),
            ("haproxy", "frontend f\n  bind :443 ssl\n  # bind quic4@:443\n", 0),
            ("caddy", "{\n  servers {\n    protocols h1 h2 h3\n  }\n}\n", 1),
            ("caddy", "{\n  servers {\n    protocols h1 h2\n  }\n}\n", 0),
        ] {
            let files = vec![ConfigFile { path: "/x".to_owned(), text: text.to_owned() }];
            let found = quic(&Facts { server_files: Some(files), ..facts("", program) });
            assert_eq!(found.len(), count, "{text}");
        }
        assert_eq!(quic(&facts("", "hypercorn --quic-bind 0.0.0.0:443 a:b")).len(), 1);
    }
}
