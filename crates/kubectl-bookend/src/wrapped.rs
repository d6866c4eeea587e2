//! Whether a container of a Pod spec runs bookend, as far as the spec shows it. Pure.

use serde_json::Value;

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
    let path = words.first().filter(|word| is_bookend(word))?.clone();
    let args = words.split_off(1);
    // This init container brings the binary, and runs no app.
    (args.first().map(String::as_str) != Some("copy")).then_some(Bookend { path, args })
}

/// The words of `command` or `args`; a value that is not a list of texts has none.
pub(crate) fn words(container: &Value, field: &str) -> Vec<String> {
    let words = container.get(field).and_then(Value::as_array);
    words.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

fn is_bookend(word: &str) -> bool {
    word.rsplit('/').next() == Some("bookend")
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
