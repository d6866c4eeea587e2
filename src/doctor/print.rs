//! A report for people, and as JSON. Pure.

use std::fmt;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::report::Report;
use bookend_lifecycle::printable::printable;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |severity| self.findings.iter().filter(move |(_, finding)| finding.severity == severity);
        for (id, finding) in of(Severity::Finding) {
            write!(f, "{}", FindingText { title: id, finding })?;
        }
        for (id, finding) in of(Severity::Note) {
            let title = format!("note: {id}");
            write!(f, "{}", FindingText { title: &title, finding })?;
        }
        for text in &self.not_examined {
            writeln!(f, "not examined: {}\n", printable(text))?;
        }
        let (findings, notes) = (of(Severity::Finding).count(), of(Severity::Note).count());
        let subject = if self.subject.is_empty() { "no command" } else { &self.subject };
        let subject = printable(subject);
        writeln!(f, "{subject}: {}, {}", counted(findings, "finding"), counted(notes, "note"))
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

struct FindingText<'a> {
    title: &'a str,
    finding: &'a Finding,
}

impl fmt::Display for FindingText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { what, why, fix, at, .. } = self.finding;
        let at = at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        // Names of programs and files are in each of them.
        let [what, why, fix] = [what, why, &format!("{at}{fix}")].map(|text| printable(text));
        writeln!(f, "{}: {what}\n    why  {why}\n    fix  {fix}\n", self.title)
    }
}

impl Report {
    /// One object.
    pub(crate) fn to_json(&self) -> Value {
        let of = |severity| -> Vec<Value> {
            let these = self.findings.iter().filter(|(_, finding)| finding.severity == severity);
            these.map(|(id, finding)| value(id, finding)).collect()
        };
        json!({
            "command": self.subject,
            "findings": of(Severity::Finding),
            "notes": of(Severity::Note),
            "notExamined": self.not_examined,
        })
    }
}

fn value(id: &str, finding: &Finding) -> Value {
    let at = finding.at.as_ref();
    json!({
        "check": id,
        "what": finding.what,
        "why": finding.why,
        "fix": finding.fix,
        "file": at.map(|at| &at.file),
        "line": at.map(|at| at.line).filter(|line| *line > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::FileLine;

    fn report() -> Report {
        let at = Some(FileLine { file: "/etc/nginx/nginx.conf".to_owned(), line: 1 });
        Report {
            subject: "nginx".to_owned(),
            findings: vec![
                ("loud", Finding::note("is worth knowing", "it may matter", "check it")),
                ("nginx-x", Finding::new("nginx has no x", "it drops requests", "add: x;").at(at)),
            ],
            not_examined: vec!["php-fpm: cannot be run".to_owned()],
        }
    }

    #[test]
    fn findings_come_first_each_with_why_and_fix() {
        let shown = "nginx-x: nginx has no x\n    why  it drops requests\n    fix  /etc/nginx/nginx.conf:1: add: x;\n\n\
            note: loud: is worth knowing\n    why  it may matter\n    fix  check it\n\n\
            not examined: php-fpm: cannot be run\n\nnginx: 1 finding, 1 note\n";
        assert_eq!(report().to_string(), shown);
    }

    #[test]
    fn no_name_forges_a_line() {
        let at = Some(FileLine { file: "/a\nb".to_owned(), line: 1 });
        let finding = Finding::new("no\nx", "it\u{1b}[31m", "run \"a\nb\"").at(at);
        let report = Report {
            subject: "a\nb".to_owned(),
            findings: vec![("x", finding)],
            not_examined: vec!["/c\nd: cannot be read".to_owned()],
        };
        let shown = report.to_string();
        assert!(shown.lines().count() == 7 && !shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn the_json_object_has_the_same_content() {
        let json = report().to_json();
        assert_eq!(json["findings"][0]["line"], 1);
        assert_eq!(json["findings"][0]["check"], "nginx-x");
        assert_eq!(json["notes"][0]["file"], Value::Null);
        assert_eq!(json["notExamined"][0], "php-fpm: cannot be run");
    }
}
