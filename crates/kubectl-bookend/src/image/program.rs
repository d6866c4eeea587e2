//! The words that an image runs, and how an image's configuration tells it. Depends on nothing.

use serde_json::Value;

/// The words that an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ImageProgram {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) stop_signal: Option<String>,
}

impl ImageProgram {
    /// The `command` that a container needs, so that it runs the same: its own `args` stand in place of CMD.
    pub(crate) fn command(&self, has_args: bool) -> Vec<String> {
        let cmd = if has_args { &[][..] } else { &self.cmd };
        self.entrypoint.iter().chain(cmd).cloned().collect()
    }
}

/// The `config` of an image, as engines and registries have it.
pub(super) fn of_config(config: &Value) -> ImageProgram {
    let words = |key: &str| {
        let words = config.get(key).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let signal = config.get("StopSignal").and_then(Value::as_str).filter(|signal| !signal.is_empty());
    ImageProgram { entrypoint: words("Entrypoint"), cmd: words("Cmd"), stop_signal: signal.map(str::to_owned) }
}
