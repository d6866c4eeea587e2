use serde_json::{Value, json};

use super::{Node, parse, rewrite};

fn values(text: &str) -> Vec<Value> {
    parse(text).unwrap().iter().map(Node::value).collect()
}

#[test]
fn scalars_mean_what_kubectl_reads() {
    let cases = [
        ("0400", json!(256)),
        ("0555", json!(365)),
        ("030", json!(24)),
        ("08", json!(8)),
        ("0o400", json!(256)),
        ("0x1F", json!(31)),
        ("-5", json!(-5)),
        ("1_000", json!(1000)),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000)),
        ("-2.0", json!(-2)),
        ("1_0.5", json!(10.5)),
        ("yes", json!(true)),
        ("off", json!(false)),
        ("~", json!(null)),
        ("1.2.3", json!("1.2.3")),
        ("100m", json!("100m")),
        ("2001-01-01", json!("2001-01-01")),
        ("\"0400\"", json!("0400")),
        ("!!str 0400", json!("0400")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
    ];
    for (text, value) in cases {
        assert_eq!(values(&format!("a: {text}")), [json!({ "a": value })], "{text}");
    }
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let text = "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n";
    assert_eq!(values(text), [json!({ "a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}, "c": {"p": 1, "q": 2} })]);
}

#[test]
fn a_key_that_is_there_twice_is_an_error() {
    assert_eq!(parse("a: 1\nb: 2\na: 3\n").unwrap_err().to_string(), "line 3: the key \"a\" is there twice");
}

#[test]
fn aliases_of_aliases_do_not_use_up_the_memory() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let (name, before) = (char::from(b'a' + level), char::from(b'a' + level - 1));
        text.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(",")));
    }
    assert!(parse(&text).is_err());
}

/// The text after a change of its values; it has those values.
fn changed(text: &str, change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut wanted = values(text);
    change(&mut wanted);
    let rewritten = rewrite(text, &wanted).unwrap();
    assert_eq!(values(&rewritten.text), wanted, "{}", rewritten.text);
    assert!(rewritten.anew.is_empty(), "written anew:\n{}", rewritten.text);
    rewritten.text
}

const POD: &str = "\
# A pod.
kind: Pod   # its kind
spec:
  containers:
  - name: a
    image: x:1      # pinned
    # The mode is octal.
    mode: 0400
    command: [a,  'b']

  # The second one.
  - image: y
    name: b
    env: []
    script: |
      one
       two

---
# Empty.
---
kind: Other
";

#[test]
fn unchanged_values_leave_the_text_byte_for_byte() {
    assert_eq!(changed(POD, |_| ()), POD);
}

#[test]
fn a_change_leaves_all_other_lines_as_they_are() {
    let text = changed(POD, |documents| {
        let pod = &mut documents[0];
        pod["spec"]["volumes"] = json!([{ "name": "v", "emptyDir": {} }]);
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        containers[0]["image"] = json!("x:2");
        containers[0]["command"].as_array_mut().unwrap().insert(0, json!("--"));
        containers[0]["env"] = json!([{ "name": "A", "value": "1" }]);
        containers[1]["env"] = json!([{ "name": "B", "value": "line\nline\n" }]);
    });
    let wanted = "\
# A pod.
kind: Pod   # its kind
spec:
  containers:
  - name: a
    image: x:2      # pinned
    # The mode is octal.
    mode: 0400
    command: [\"--\", a,  'b']
    env:
    - name: A
      value: \"1\"

  # The second one.
  - image: y
    name: b
    env:
    - name: B
      value: |
        line
        line
    script: |
      one
       two
  volumes:
  - name: v
    emptyDir: {}

---
# Empty.
---
kind: Other
";
    assert_eq!(text, wanted);
}

#[test]
fn items_and_keys_are_put_in_front_and_cut() {
    let text =
        "list:\n  - name: a\n    x: 1\n  - name: b # second\n    y: 2\n  # c\n  - name: c\nflow: { a: 1, b: 2 }\n";
    let after = changed(text, |documents| {
        let list = documents[0]["list"].as_array_mut().unwrap();
        list.insert(0, json!({ "name": "new", "args": ["p", "q r"] }));
        list.remove(2);
        documents[0]["flow"] = json!({ "b": 2, "c": "x, y" });
    });
    let wanted = "list:\n  - name: new\n    args: [p, q r]\n  - name: a\n    x: 1\n  # c\n  - name: c\n\
                  flow: { b: 2, c: \"x, y\" }\n";
    assert_eq!(after, wanted);
    let after = changed("- a: 1\n  b: 2\n- c: 3\n", |documents| documents[0][0] = json!({ "b": 2 }));
    assert_eq!(after, "- b: 2\n- c: 3\n");
}

#[test]
fn json_stays_json() {
    let text = "{\n    \"kind\": \"Pod\",\n    \"spec\": {\n        \"containers\": [\n            {\n                \"name\": \"a\"\n            }\n        ]\n    }\n}\n";
    let after = changed(text, |documents| {
        documents[0]["spec"]["containers"][0]["command"] = json!(["a: b"]);
        documents[0]["spec"]["volumes"] = json!([{ "name": "v" }]);
    });
    let read: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(read["spec"]["volumes"][0]["name"], "v");
    assert!(after.contains("                \"name\": \"a\",\n                \"command\": [\"a: b\"]\n"), "{after}");
}

#[test]
fn a_changed_anchor_does_not_change_its_aliases() {
    let text = "a: &x\n  p: 1\nb: *x\nc:\n  <<: *x\n  q: 1\n";
    let mut wanted = values(text);
    wanted[0]["a"]["p"] = json!(2);
    let rewritten = rewrite(text, &wanted).unwrap();
    assert_eq!(values(&rewritten.text), wanted, "{}", rewritten.text);
    let after = changed(text, |documents| documents[0]["c"]["p"] = json!(5));
    assert_eq!(after, "a: &x\n  p: 1\nb: *x\nc:\n  <<: *x\n  q: 1\n  p: 5\n");
}

#[test]
fn any_text_is_written_as_itself() {
    let texts = [
        "",
        " ",
        "a",
        "yes",
        "0400",
        "1e3",
        "- a",
        "a: b",
        "a #b",
        "#",
        "a\nb\n",
        "a\nb",
        "\n",
        "  a\n b\n",
        "a \nb\n",
        "'",
        "\"",
        "\\",
        "{a}",
        "[b",
        "a, b",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "|",
        ">",
        "null",
        "~",
        "2001-01-01",
        "1:30",
        "a:",
        "\t",
        "é",
        "\u{7f}",
        "\u{2028}",
        "a\r\nb\n",
        "<<",
        "=",
        "...",
        "---",
        "?",
        "-",
        ":",
        ".5",
        "0x1",
        "a  b",
        "a\n\n\nb\n",
        "x\n\n",
    ];
    for text in texts {
        for before in ["k: 1\n", "k:\n- name: x\n", "k: {a: 1}\n", "k: [a]\n", "k:\n", "k: |\n  a\n  b\nl: 1"] {
            let mut wanted = values(before);
            wanted[0]["k"] = json!([{ "name": text, "y": text }]);
            wanted[0]["z"] = json!({ "a": text, "list": [text, [text]] });
            let rewritten = rewrite(before, &wanted).unwrap();
            assert_eq!(values(&rewritten.text), wanted, "{text:?} in {before:?}:\n{}", rewritten.text);
        }
        let mut wanted = values("{ a: 1 }\n");
        wanted[0]["b"] = json!([{ "name": text }, text]);
        let rewritten = rewrite("{ a: 1 }\n", &wanted).unwrap();
        assert_eq!(values(&rewritten.text), wanted, "{text:?}:\n{}", rewritten.text);
    }
}
