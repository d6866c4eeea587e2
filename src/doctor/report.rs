//! The results of all checks, and their verdict. Pure.

use super::checks::CHECKS;
use super::facts::Facts;
use super::finding::{Finding, Severity};

/// The results, in the order of the checks.
pub(crate) struct Report {
    /// The command that was examined.
    pub(crate) subject: String,
    pub(crate) findings: Vec<(&'static str, Finding)>,
    pub(crate) not_examined: Vec<String>,
}

/// The verdict for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Diagnosis {
    /// Everything was examined, and there is no finding.
    Healthy,
    /// There are findings.
    Findings,
    /// There is no finding, but not everything could be examined.
    Incomplete,
}

/// Runs every check.
pub(crate) fn examine(facts: &Facts) -> Report {
    let findings = CHECKS.iter().flat_map(|check| {
        let id = check.id;
        (check.examine)(facts).into_iter().map(move |finding| (id, finding))
    });
    Report {
        subject: facts.command.to_string(),
        findings: findings.collect(),
        not_examined: facts.not_examined.clone(),
    }
}

impl Report {
    /// Findings outweigh what could not be examined.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        if self.findings.iter().any(|(_, finding)| finding.severity == Severity::Finding) {
            Diagnosis::Findings
        } else if self.not_examined.is_empty() {
            Diagnosis::Healthy
        } else {
            Diagnosis::Incomplete
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_outweigh_what_could_not_be_examined() {
        let report = |findings: &[Finding], not_examined: &[&str]| Report {
            subject: String::new(),
            findings: findings.iter().map(|finding| ("check", finding.clone())).collect(),
            not_examined: not_examined.iter().map(|text| (*text).to_owned()).collect(),
        };
        let (finding, note) = (Finding::new("", "", ""), Finding::note("", "", ""));
        assert_eq!(report(&[], &[]).diagnosis(), Diagnosis::Healthy);
        assert_eq!(report(std::slice::from_ref(&note), &[]).diagnosis(), Diagnosis::Healthy);
        assert_eq!(report(&[note], &["nginx"]).diagnosis(), Diagnosis::Incomplete);
        assert_eq!(report(&[finding], &["nginx"]).diagnosis(), Diagnosis::Findings);
    }
}
