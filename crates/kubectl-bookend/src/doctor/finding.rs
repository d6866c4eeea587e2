//! One result of a check: what was found, where, why it matters and what to do.

use std::fmt;

use bookend_lifecycle::printable::printable;
use serde_json::{Value, json};

/// A problem, or something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The name of the check.
    pub(crate) check: &'static str,
    pub(crate) is_note: bool,
    /// The file, the object and its field.
    pub(crate) place: FieldPlace,
    /// The state that was found.
    pub(crate) what: String,
    /// Its effect.
    pub(crate) why: String,
    /// The remedy.
    pub(crate) fix: String,
}

/// A field of an object in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldPlace {
    pub(crate) file: String,
    /// Of the field, or of the nearest one above it that exists; `None` for an object of the cluster.
    pub(crate) line: Option<usize>,
    /// `Deployment/web`
    pub(crate) object: String,
    /// `spec.template.spec.containers[web].lifecycle.preStop`
    pub(crate) field: String,
}

impl Finding {
    pub(crate) fn new(
        check: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        let (what, why, fix) = (what.into(), why.into(), fix.into());
        Finding { check, is_note: false, place: FieldPlace::default(), what, why, fix }
    }

    /// The same as something that is only worth knowing.
    pub(crate) fn note(self) -> Finding {
        Finding { is_note: true, ..self }
    }

    /// The same at this field, which is below the container or the pod that is examined.
    pub(crate) fn at(mut self, field: &str) -> Finding {
        field.clone_into(&mut self.place.field);
        self
    }

    pub(crate) fn to_json(&self) -> Value {
        let FieldPlace { file, line, object, field } = &self.place;
        json!({
            "check": self.check,
            "file": printable(file),
            "line": line,
            "object": printable(object),
            "field": printable(field),
            "what": printable(&self.what),
            "why": printable(&self.why),
            "fix": printable(&self.fix),
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldPlace { file, line, object, field } = &self.place;
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let note = if self.is_note { "note: " } else { "" };
        writeln!(f, "{note}{}: {}", self.check, lines(&self.what))?;
        writeln!(f, "    at   {}", printable(&format!("{file}{line}: {object}: {field}")))?;
        writeln!(f, "    why  {}", lines(&self.why))?;
        writeln!(f, "    fix  {}\n", lines(&self.fix))
    }
}

/// A text of several lines, each of which is safe to show.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(printable).collect();
    lines.join("\n         ")
}
