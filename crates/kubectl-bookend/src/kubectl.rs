//! Runs kubectl for everything that needs a cluster: no client library, and the user's own rights and contexts.

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};

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
        self.kubectl_with_input(args, "")
    }

    /// The same, with a text on its standard input.
    pub(crate) fn kubectl_with_input(&self, args: &[&str], input: &str) -> Result<String, Failure> {
        output(self.command().args(args), args, input)
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

fn output(command: &mut Command, args: &[&str], input: &str) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let line = format!("{program} {}", args.join(" "));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(&program, &error))?;
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        // kubectl may end before it has read everything; its own message tells why.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let errors = scope.spawn(move || bounded(stderr, MOST_ERRORS));
        let out = bounded(stdout, MOST);
        (out, errors.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|error| Failure::usage(format!("cannot wait for {program}: {error}")))?;
    let errors = String::from_utf8_lossy(&stderr);
    if !status.success() {
        let reason = if errors.trim().is_empty() { status.to_string() } else { errors.trim().to_owned() };
        return Err(Failure::usage(format!("`{line}` failed: {reason}")));
    }
    if stdout.len() as u64 >= MOST {
        return Err(Failure::usage(format!("`{line}` wrote more than {} MB; choose fewer objects", MOST / 1_000_000)));
    }
    String::from_utf8(stdout).map_err(|_| Failure::usage(format!("the output of `{line}` is not UTF-8")))
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

/// At most this many bytes. The rest is read and dropped, so that the writer does not wait for a reader.
fn bounded(pipe: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // Output that cannot be read is missing: kubectl's exit code tells the reason.
        let _ = pipe.by_ref().take(most).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    }
    bytes
}

/// Another program in place of kubectl.
const PROGRAM: &str = "KUBECTL";
/// All pods of a large cluster.
const MOST: u64 = 512_000_000;
const MOST_ERRORS: u64 = 64_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kubectl_is_named_with_what_helps() {
        let error = output(&mut Command::new("kubectl-that-is-missing"), &["get"], "").unwrap_err();
        assert!(error.text.contains("cannot run kubectl-that-is-missing: it is not in PATH"), "{}", error.text);
    }

    #[cfg(unix)]
    #[test]
    fn output_input_and_errors_of_kubectl_are_passed_on() {
        let shell = |script: &str, input: &str| output(Command::new("sh").args(["-c", script]), &["get", "pod"], input);
        assert_eq!(shell("cat; echo warning >&2", "a\n").unwrap(), "a\n");
        let error = shell("echo 'pods \"x\" not found' >&2; exit 1", "").unwrap_err();
        assert_eq!(error.text, "`sh get pod` failed: pods \"x\" not found");
    }
}
