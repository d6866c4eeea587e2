//! Which pods: the options that choose them, and the pods from kubectl.

use std::process::Stdio;

use serde_json::Value;

use crate::kubectl::{ClusterArgs, cannot_run};
use crate::objects::each_object;
use crate::outcome::Failure;

/// The options that choose pods, as `kubectl get pods` has them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PodArgs {
    /// Names of the pods [default: all of the namespace]
    #[arg(value_name = "POD", conflicts_with_all = ["selector", "all_namespaces"])]
    pub(crate) pods: Vec<String>,
    /// Pods with these labels, for example app=web
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// Pods of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

impl PodArgs {
    /// Passes on each pod while kubectl writes them. kubectl's own messages go to stderr.
    pub(crate) fn each(&self, pass_on: &mut dyn FnMut(Value)) -> Result<(), Failure> {
        let mut command = self.cluster.command();
        command.args(["get", "pods", "--output=json"]);
        command.args(self.selector.iter().map(|labels| format!("--selector={labels}")));
        command.args(self.all_namespaces.then_some("--all-namespaces"));
        if !self.pods.is_empty() {
            command.arg("--").args(&self.pods);
        }
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot_run(&program, &error))?;
        let read = child.stdout.take().map_or(Ok(()), |output| each_object(output, pass_on));
        let status = child.wait().map_err(|error| Failure::usage(format!("cannot wait for {program}: {error}")))?;
        read.map_err(|error| Failure::usage(format!("cannot read the output of `{program} get pods`: {error}")))?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::usage(format!("`{program} get pods` failed: {status}"))),
        }
    }
}
