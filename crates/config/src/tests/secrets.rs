//! Diagnostics and `bookend check` show the key of a secret and never its value, whatever is wrong with the text.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::fuzz::{edited, for_some_time};
use super::*;
use crate::secrets::mentions_secret;

const SECRET: &str = "hunter2";

/// Refused, and the secret is not shown.
#[track_caller]
fn hides(sources: &Sources) -> String {
    let shown = match load(sources) {
        Ok(effective) => effective.warnings.to_string(),
        Err(diagnostics) => diagnostics.to_string(),
    };
    assert!(!shown.contains(SECRET), "{sources:?}\n{shown}");
    shown
}

#[test]
fn no_kind_of_mistake_shows_a_secret() {
    for text in [
        // A number, missing quotes, an escaped quote, a quote too many.
        "[app.env]\nPASSWORD = 5 # x\nTOKEN = \"hunter2\"\nB = 7\n",
        "[app.env]\nPASSWORD = hunter2\n",
        "[app.env]\nPASSWORD = \"a\\\"hunter2\n",
        "[app.env]\nPASSWORD = \"\"hunter2\"\"\n",
        "[app.env]\nPASSWORD = 'it's hunter2'\n",
        // The second line of a multi-line string.
        "[app.env]\nPASSWORD = \"\"\"\nx\nhunter2\"\"\"\"\"\"\"\n",
        "[app.env]\nPASSWORD = \"\"\nhunter2 = 1\n\"\"\"\n",
        "[app]\nenv = { PASSWORD = \"\"\"x\nhunter2\"\"\", B = 5 }\n",
        // Inline tables, and the lines around.
        "app.env = { PASSWORD = \"hunter2\", B = 5 }",
        "app = { env = { PASSWORD = \"hunter2\" }, stopSignl = 1 }",
        "app = { env = { PASSWORD = \"hunter2\" } stopSignal = 1 }",
        "app.env = [\"PASSWORD=hunter2\"]",
        "app.env = [{ name = \"PASSWORD\", value = \"hunter2\" }]",
        "app.env = \"PASSWORD=hunter2\"",
        "app.env = { \"PASSWORD=hunter2\" = \"\" }",
        "app.env.PASSWORD.value = \"hunter2\"",
        "app.env.PASSWORD.valueFrom.file = \"hunter2\"",
        "app.env.A.valueFrom = { file = 5, prefix = \"hunter2\" }",
        "app.env.A.valueFrom = { fil = \"/a\", prefix = \"hunter2\" }",
        "app.environment = { PASSWORD = \"hunter2\" }",
        "[lifecycle.preStop]\nexec = { comand = [\"a\"], env = { A = \"hunter2\" } }",
        // Headers.
        "lifecycle.preStop.httpGet = { port = 0, httpHeaders = [{ name = \"X\", value = \"hunter2\" }] }",
        "lifecycle.preStop.httpGet = { port = 1, httpHeaders = [{ name = \"X\", valu = \"hunter2\" }] }",
        "lifecycle.preStop.httpGet = { port = 1, httpHeaders = { Authorization = \"hunter2\" } }",
        "lifecycle.preStop.httpGet = { port = 0, httpHeaders = [{ name = \"X\", valueFrom = { file = \"/f\", prefix = \"hunter2\" } }] }",
        "lifecycle.preStop.httpGet = { port = 1, httpHeaders = [\"Authorization: hunter2\"] }",
        // Comments on the line of another mistake.
        "[app.env]\nPASSWORD = 5 # hunter2\n",
        "[app]\nstopSignl = '#' # PASSWORD = \"hunter2\"\n",
        "app = { stopSignal = \"\"\"#\\\"\"\"\"\", a = 1 } # hunter2",
        // A missing quote makes a value of the lines that follow it.
        "http.listen = \"0.0.0.0:1\ntokenFile = \"\"\"hunter2\"\"\"",
        "http.listen = \"\"\"0.0.0.0:1\ntokenFile = 'hunter2'\"\"\"",
        "http.listen = \"0.0.0.0:1 token hunter2\"",
        "[app]\ncommand = \"\"\"a\nenv.PASSWORD = 'hunter2'\"\"\"",
        // A value without quotes becomes a key.
        "app.env = { A = \"1\", DB.hunter2.x = \"2\" }",
        // Keys whose name suggests a secret, known or not.
        "http.tokenFile = \"hunter2\"",
        "http.tokenFile = [\"hunter2\"]",
        "http = { listen = \"nowhere\", token = \"hunter2\" }",
        "http.tls = { certFile = \"/c\", keyFile = \"hunter2\" }",
        "dbPassword = \"hunter2\"",
        "app.nev = { A = \"hunter2\" }",
        "[app]\nDB = \"hunter2\"",
        "http.tokenFle = \"hunter2\"",
        // Secrets inside of other values.
        "app.command = [\"server\", \"--password=hunter2\", 5]",
        "app.command = [\"server\", \"--password\", \"hunter2\", 5]",
        "app.command = [\"server\", \"postgres://u:hunter2@db/\", 5]",
        "app.command = \"server --password=hunter2\"",
        "lifecycle.preStop.httpGet = \"http://u:hunter2@app/x?token=hunter2\"",
        "lifecycle.preStop.httpGet = { url = \"http://u:hunter2@app/\" }",
        "app.stopSignal = \"https://u:hunter2@app/\"",
        "app.stopSignals = [\"token=hunter2\"]",
        "app.signals = { SIGHUP = \"my token hunter2\" }",
        "http = { listen = \"0.0.0.0:1\", allowFrom = [\"https://u:hunter2@app/\"] }",
        // Secrets inside of names.
        "\"PASSWORD=hunter2\" = 1",
        "app.\"PASSWORD=hunter2\" = 1",
        "app.signals = { \"token=hunter2\" = \"SIGHUP\" }",
        "app.exitCodes = { \"token=hunter2\" = 0 }",
        "app.rlimits = { \"token=hunter2\" = 0 }",
        "ports = { \"token=hunter2\" = 0 }",
        "[containers.\"token=hunter2\"]",
        "lifecycle.preStop.httpGet = { port = 1, httpHeaders = { \"Authorization: hunter2\" = 1 } }",
    ] {
        hides(&file(text));
    }
}

#[test]
fn the_key_of_a_secret_is_shown() {
    let shown = hides(&file("app.env = { PASSWORD = \"hunter2\", B = 5 }"));
    assert!(shown.contains(" 1 | app.env = { PASSWORD = ********, B = ******** }\n"), "{shown}");
    assert!(shown.contains("app.env.B: a number is not a string"), "{shown}");
    let shown = hides(&file("[app.env]\nPASSWORD = hunter2\n"));
    assert!(shown.contains("bookend.toml:2:12") && shown.contains("no line is shown"), "{shown}");
}

#[test]
fn no_variable_or_option_shows_a_secret() {
    for (name, value) in [
        ("BOOKEND_APP_ENV", "{ PASSWORD = \"hunter2\", B = 5 }"),
        ("BOOKEND_APP_ENV", "{ PASSWORD = hunter2 }"),
        ("BOOKEND_APP_ENV", "hunter2"),
        ("BOOKEND_APP_ENV_PASSWORD", "hunter2"),
        ("BOOKEND_HTTP_TOKEN_FILE", "hunter2"),
        ("BOOKEND_LIFECYCLE_PRE_STOP", "{ httpGet = { httpHeaders = [{ name = \"A\", value = \"hunter2\" }] } }"),
        ("BOOKEND_LIFECYCLE_PRE_STOP", "[{ exec = { env = { A = \"hunter2\" }, command = [] } }"),
        ("BOOKEND_DB_PASSWORD", "hunter2"),
        ("BOOKEND_APP_COMMAND", "server --password=hunter2"),
        ("BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS", "my token hunter2"),
        ("BOOKEND_SUBREAPER", "[\"password hunter2\"]"),
        ("BOOKEND_APP_STOP_SIGNAL", "token=hunter2"),
    ] {
        hides(&env(&[(name, value)]));
    }
    for (path, value) in [
        ("app.env.PASSWORD", "hunter2\0"),
        ("app.env.PASSWORD.value", "hunter2"),
        ("app.env.A.valueFrom.file", "hunter2"),
        ("app.env", "{ PASSWORD = hunter2 }"),
        ("app.password", "hunter2"),
        ("http.tokenFile", "hunter2"),
        ("http.tls.keyFile", "hunter2"),
        ("app.nev.A", "hunter2"),
        ("log.level", "my token hunter2"),
    ] {
        hides(&Sources { overrides: vec![option(path, value)], ..Sources::default() });
    }
}

#[test]
fn check_masks_secrets_user_and_query_of_urls() {
    let text = "[app]\ncommand = [\"server\", \"--token=hunter2\", \"--password\", \"hunter2\", \"--key\", \"/etc/key\"]\n\
        env = { DATABASE_URL = \"postgres://u:hunter2@db/app?sslpassword=hunter2\", API_KEY = \"hunter2\" }\n\
        [[lifecycle.preStop]]\nhttpGet = { port = 1, path = \"/drain?token=hunter2\", \
        httpHeaders = [{ name = \"Authorization\", value = \"hunter2\" }] }\n";
    let printed = accept(&file(text)).to_string();
    assert!(!printed.contains(SECRET), "{printed}");
    for line in [
        "command = [\"server\", \"--token=********\", \"--password\", \"********\", \"--key\", \"/etc/key\"]",
        "env.DATABASE_URL = \"postgres://********@db/app?********\"",
        "env.API_KEY = \"********\"",
        "httpGet.path = \"/drain?token=********\"",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}

/// Texts with a place for a secret, which is nowhere else in them.
const TEMPLATES: &[&str] = &[
    "[app]\ncommand = [\"nginx\"]\n[app.env]\nA = \"1\"\nPASSWORD = SECRET\nB = \"2\"\n[log]\nlevel = \"Info\"\n",
    "app = { command = [\"nginx\"], env = { A = \"1\", DB = SECRET, B = \"2\" }, stopSignal = \"SIGQUIT\" }\n",
    "[[lifecycle.preStop]]\nname = \"one\"\nexec = { command = [\"a\"], env = { X = SECRET } }\ntimeoutSeconds = 5\n",
    "[lifecycle.preStop.httpGet]\nport = 80\nhttpHeaders = [{ name = \"X\", value = SECRET }, { name = \"Y\", value = \"y\" }]\n",
    "[http]\nlisten = \"0.0.0.0:1\"\ntokenFile = SECRET\n",
    "[containers.web.lifecycle.preStop.exec]\ncommand = [\"a\"]\nenv.TOKEN = SECRET\n",
];

/// Texts that break them: characters and words with a meaning in TOML.
const BREAKS: &[&str] = &[
    "\"", "'", "\"\"\"", "'''", "=", "{", "}", "[", "]", "\n", ",", "#", "\\", ".", " ", "1", "x", "\n[x]\n", "\"\"",
    "\\u0000", "\\\"", "", "", "true",
];

#[test]
fn a_secret_in_a_broken_text_is_never_shown() {
    // Its characters occur nowhere else, and it may look like TOML: a key, an assignment, several lines.
    let secret = "[QXZ]{4}[QXZ=.\\-]{0,3}(\n?[QXZ ]{1,3}=?\"?[QXZ]{4})?";
    let quote = select(["\"", "'", "\"\"\"", "'''", ""].to_vec());
    let edit = (any::<Index>(), 0usize..4, select(BREAKS.to_vec()).prop_map(str::to_owned));
    let broken = (select(TEMPLATES.to_vec()), secret, quote, prop::collection::vec(edit, 0..4));
    for_some_time(broken, |(template, secret, quote, edits)| {
        // The template is edited around the secret, so that the secret itself stays whole.
        let (before, after) = template.split_once("SECRET").unwrap();
        // Half of the changes come right before the secret, where a change matters most.
        let before = format!("{before}{quote}");
        let (head, tail) = before.split_at(if edits.len() % 2 == 0 { 0 } else { before.len().saturating_sub(24) });
        let before = format!("{head}{}", edited(tail, edits.get(..edits.len().div_ceil(2)).unwrap()));
        let after = edited(&format!("{quote}{after}"), edits.get(edits.len().div_ceil(2)..).unwrap());
        // If the edits have removed the name, nothing suggests that the value is a secret.
        prop_assume!(mentions_secret(&before));
        let text = format!("{before}{secret}{after}");
        let sources = [file(&text), env(&[("BOOKEND_APP", &text)]), env(&[("BOOKEND_LIFECYCLE", &text)])];
        for sources in sources {
            let shown = match load(&sources) {
                Ok(effective) => effective.warnings.to_string(),
                Err(diagnostics) => diagnostics.to_string(),
            };
            for part in secret.split(['\n', '=', '"', '.', ' ']).filter(|part| part.len() >= 4) {
                prop_assert!(!shown.contains(part), "{text}\n{shown}");
            }
        }
        Ok(())
    });
}
