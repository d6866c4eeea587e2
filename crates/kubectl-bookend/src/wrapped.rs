//! Whether a container of a Pod spec runs bookend, as far as the spec shows it. Pure.

use serde_json::Value;

use crate::shell::base_name;

/// The words of a container that run bookend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bookend {
    /// The binary's path in the container.
    pub(crate) path: String,
    /// The words behind it.
    pub(crate) args: Vec<String>,
}

/// bookend, if `command` or `args` begin with it. An image whose ENTRYPOINT is bookend does not show it.
pub(crate) fn bookend_of(container: &Value) -> Option<Bookend> {
    let mut words = words(container, "command");
    words.extend(self::words(container, "args"));
    let path = words.first().filter(|_| is_bookend(&words))?.clone();
    let args = words.split_off(1);
    // This init container brings the binary, and runs no app.
    (args.first().map(String::as_str) != Some("copy")).then_some(Bookend { path, args })
}

/// Whether anything in the spec shows that bookend runs in the container: its command, its configuration, or a variable of it. An
/// image whose ENTRYPOINT is bookend and that brings its own configuration shows nothing.
pub(crate) fn seems_wrapped(container: &Value) -> bool {
    let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_copier =
        words(container, "command").get(1).or(words(container, "args").first()).is_some_and(|word| word == "copy");
    bookend_of(container).is_some()
        || !is_copier
            && (list("volumeMounts").any(|mount| text(mount, "mountPath").starts_with("/etc/bookend"))
                || list("env").any(|variable| text(variable, "name").starts_with("BOOKEND_")))
}

/// Whether these words run bookend.
pub(crate) fn is_bookend(words: &[String]) -> bool {
    words.first().is_some_and(|word| base_name(word) == "bookend")
}

/// The words of `command` or `args`; a value that is not a list of texts has none.
pub(crate) fn words(container: &Value, field: &str) -> Vec<String> {
    let words = container.get(field).and_then(Value::as_array);
    words.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bookend_is_the_first_word_of_command_or_args() {
        let path = |container: Value| bookend_of(&container).map(|bookend| bookend.path);
        let wrapped = json!({ "command": ["/bookend/bookend", "--", "nginx"], "args": ["-g", "x"] });
        assert_eq!(bookend_of(&wrapped).unwrap().args, ["--", "nginx", "-g", "x"]);
        assert_eq!(path(wrapped), Some("/bookend/bookend".to_owned()));
        assert_eq!(path(json!({ "args": ["/bookend", "sidecar"] })), Some("/bookend".to_owned()));
        assert_eq!(path(json!({ "command": ["nginx"], "args": ["/bookend"] })), None);
        assert_eq!(path(json!({ "command": ["/bookend", "copy", "/v/bookend"] })), None, "it runs no app");
        for odd in [json!(null), json!([]), json!({ "command": "x" }), json!({ "command": [1, null] })] {
            assert_eq!(path(odd), None);
        }
    }
}
