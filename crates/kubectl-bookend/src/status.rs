//! `kubectl bookend status`: all containers of the chosen pods, as `bookend status` shows one. It runs that command in each container
//! through `kubectl exec`, a few at once, and gives each a limited time.

mod containers;
mod exec;

use std::time::Duration;

use bookend_lifecycle::printable::printable;
use serde_json::{Value, json};

use crate::chosen_pods::PodArgs;
use crate::outcome::{Failure, Outcome, print};
use containers::{ContainerName, RunningContainer, State, containers};
use exec::{ExecError, exec};

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pods: PodArgs,
    /// Only containers of this name
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Path of bookend in the containers [default: that of their command, else /bookend]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Socket of bookend in the containers, if neither BOOKEND_SOCKET nor the default leads to it
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Time for each container
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout_seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The result for one container.
struct Shown {
    name: ContainerName,
    result: ExecResult,
}

/// The answer of one container, or why there is none.
enum ExecResult {
    /// The output of `bookend status`.
    Answer(String),
    /// There is no bookend in it, or it does not run; the reason.
    Nothing(&'static str, String),
    /// It should have answered; the reason.
    Failed(String),
}

impl StatusArgs {
    pub(crate) fn run(&self) -> Outcome {
        let mut all = Vec::new();
        let mut pods = 0;
        self.pods.each(&mut |pod| {
            pods += 1;
            all.extend(containers(&pod).into_iter().filter(|one| self.is_chosen(one)));
        })?;
        let (mut json, mut failed) = (Vec::new(), 0);
        for chunk in all.chunks(AT_ONCE) {
            let shown = std::thread::scope(|scope| {
                let asked: Vec<_> = chunk.iter().map(|one| scope.spawn(|| self.show(one))).collect();
                asked.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
            });
            for one in shown {
                failed += usize::from(matches!(one.result, ExecResult::Failed(_)));
                match self.json {
                    true => json.push(one.to_json()),
                    false => print(&one.text()),
                }
            }
        }
        if self.json {
            print(&format!("{:#}\n", json!({ "containers": json })));
        }
        match (all.len(), failed) {
            (0, _) if pods == 0 => Err(Failure::new("no such pods")),
            (0, _) => Err(Failure::new("the pods have no such containers")),
            (_, 0) => Ok(()),
            (_, 1) => Err(Failure::new("1 container did not answer")),
            (_, many) => Err(Failure::new(format!("{many} containers did not answer"))),
        }
    }

    fn is_chosen(&self, one: &RunningContainer) -> bool {
        self.container.as_ref().is_none_or(|name| *name == one.name.container)
    }

    fn show(&self, one: &RunningContainer) -> Shown {
        Shown { name: one.name.clone(), result: self.ask(one) }
    }

    fn ask(&self, one: &RunningContainer) -> ExecResult {
        let path = match (&one.state, &self.path) {
            (State::NotRunning(state), _) => return ExecResult::Nothing("NotRunning", state.clone()),
            (_, Some(path)) => path.clone(),
            (State::OtherCommand(program), None) => {
                return ExecResult::Nothing("WithoutBookend", format!("its command is {program}"));
            }
            (State::Bookend(path), None) => path.clone(),
            (State::OfImage, None) => DEFAULT_PATH.to_owned(),
        };
        let mut cluster = self.pods.cluster.clone();
        if !one.name.namespace.is_empty() {
            cluster.namespace = Some(one.name.namespace.clone());
        }
        let mut command = cluster.command();
        command.args(["exec", &one.name.pod, &format!("--container={}", one.name.container), "--", &path, "status"]);
        command.args(self.json.then_some("--json"));
        command.args(self.socket.iter().map(|socket| format!("--socket={socket}")));
        match exec(&mut command, Duration::from_secs(self.timeout_seconds)) {
            Ok(answer) => ExecResult::Answer(answer),
            Err(ExecError::NotFound) if matches!(one.state, State::OfImage) => {
                ExecResult::Nothing("WithoutBookend", format!("its image has no {path}; --path names another place"))
            }
            Err(error) => ExecResult::Failed(error.to_string()),
        }
    }
}

impl Shown {
    /// For people: a line with the name, and the table of `bookend status`.
    fn text(&self) -> String {
        let name = printable(&self.name.to_string());
        match &self.result {
            ExecResult::Answer(table) => {
                let lines = table.trim_end().lines().map(|line| format!("{}\n", printable(line)));
                format!("--- {name}\n{}\n", lines.collect::<String>())
            }
            ExecResult::Nothing("NotRunning", state) => format!("--- {name}\nnot running: {}\n\n", printable(state)),
            ExecResult::Nothing(_, why) => format!("--- {name}\nwithout bookend: {}\n\n", printable(why)),
            ExecResult::Failed(why) => format!("--- {name}\nno answer: {}\n\n", printable(why)),
        }
    }

    fn to_json(&self) -> Value {
        let ContainerName { namespace, pod, container } = &self.name;
        let mut value = json!({ "namespace": namespace, "pod": pod, "container": container });
        let (result, detail, status) = match &self.result {
            ExecResult::Answer(answer) => match serde_json::from_str::<Value>(answer) {
                Ok(status) => ("Answered", None, Some(status)),
                Err(error) => ("Failed", Some(format!("its answer is not JSON: {error}")), None),
            },
            ExecResult::Nothing(result, why) => (*result, Some(why.clone()), None),
            ExecResult::Failed(why) => ("Failed", Some(why.clone()), None),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("result".to_owned(), result.into());
            fields.extend(detail.map(|detail| ("detail".to_owned(), detail.into())));
            fields.extend(status.map(|status| ("status".to_owned(), status)));
        }
        printed(value)
    }
}

/// The same with no text that could control a terminal.
fn printed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(items) => items.into_iter().map(printed).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (printable(&name), printed(value))).collect(),
        other => other,
    }
}

/// Containers that are asked at once.
const AT_ONCE: usize = 8;
/// The place of the binary in bookend's images.
const DEFAULT_PATH: &str = "/bookend";
