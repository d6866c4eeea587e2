//! Runs kubectl for everything that needs a cluster: no client library, and the user's own rights and contexts.

use std::io::ErrorKind;
use std::process::Command;

use crate::child::{RunError, run};
use crate::outcome::Failure;

/// Which cluster and namespace; the options that kubectl has, too.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Namespace of the objects; the default is that of kubectl's context
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Path of the kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
}

impl ClusterArgs {
    /// The output of `kubectl ARGS`, in the cluster and namespace of the options.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String, Failure> {
        output(self.command().args(args), args)
    }

    /// kubectl, with the options of the cluster and the namespace.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::var_os(PROGRAM).unwrap_or("kubectl".into()));
        let options =
            [("--namespace", &self.namespace), ("--context", &self.context), ("--kubeconfig", &self.kubeconfig)];
        for (option, value) in options {
            if let Some(value) = value {
                command.arg(format!("{option}={value}"));
            }
        }
        command
    }
}

fn output(command: &mut Command, args: &[&str]) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let line = format!("{program} {}", args.join(" "));
    let ended = run(command, None, MOST).map_err(|error| match error {
        RunError::NotStarted(error) => cannot_run(&program, &error),
        error => Failure::usage(format!("no answer from {program}: {error}")),
    })?;
    let errors = ended.stderr.trim();
    if !ended.status.success() {
        let reason = if errors.is_empty() { ended.status.to_string() } else { errors.to_owned() };
        return Err(Failure::usage(format!("`{line}` failed: {reason}")));
    }
    if ended.is_cut {
        return Err(Failure::usage(format!("`{line}` wrote more than {} MB; choose fewer objects", MOST / 1_000_000)));
    }
    String::from_utf8(ended.stdout).map_err(|_| Failure::usage(format!("the output of `{line}` is not UTF-8")))
}

/// Why kubectl did not start.
pub(crate) fn cannot_run(program: &str, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::usage(format!(
            "cannot run {program}: it is not in PATH; install kubectl, or name it in {PROGRAM}; \
             a file with the output of `kubectl get -o yaml` works without it"
        )),
        _ => Failure::usage(format!("cannot run {program}: {error}")),
    }
}

/// Another program in place of kubectl.
const PROGRAM: &str = "KUBECTL";
/// All pods of a large cluster.
const MOST: usize = 512_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kubectl_is_named_with_what_helps() {
        let error = output(&mut Command::new("kubectl-that-is-missing"), &["get"]).unwrap_err();
        assert!(error.text.contains("cannot run kubectl-that-is-missing: it is not in PATH"), "{}", error.text);
    }

    #[cfg(unix)]
    #[test]
    fn output_and_errors_of_kubectl_are_passed_on() {
        let shell = |script: &str| output(Command::new("sh").args(["-c", script]), &["get", "pod"]);
        assert_eq!(shell("echo a; echo warning >&2").unwrap(), "a\n");
        let error = shell("echo 'pods \"x\" not found' >&2; exit 1").unwrap_err();
        assert_eq!(error.text, "`sh get pod` failed: pods \"x\" not found");
    }
}
