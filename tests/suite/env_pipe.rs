//! preStart handlers set the app's environment through descriptor 3.

use crate::support::{Finished, Init};

/// A configuration with one preStart handler, a shell script.
fn with_pre_start(script: &str, more: &str, app: &str) -> Finished {
    let config = format!(
        "[[lifecycle.preStart]]\nname = \"prepare\"\ntimeoutSeconds = 20\n\
         exec.command = [\"sh\", \"-c\", '''{script}''']\n{more}"
    );
    Init::configured(&config, &["--", "sh", "-c", app]).finish()
}

#[test]
fn variables_set_by_pre_start_reach_handlers_and_app() {
    let more = r#"
        [[lifecycle.preStart]]
        exec.command = ["sh", "-c", "echo second $A; echo 'B = \"b2\"' >&3"]
        [lifecycle.postStart]
        exec.command = ["sh", "-c", "echo beside $A $B $(DSN)"]
        [lifecycle.postStop]
        exec = { command = ["sh", "-c", "echo after $A $B $OWN"], env = { OWN = "<$(A)>", B = "own" } }
        [app]
        env = { A = "said", DSN = "sql://$(A)" }
    "#;
    let script = r#"echo first $A; echo 'A = "a1"' >&3; echo 'B = "b1" # a comment' >&3"#;
    let finished = with_pre_start(script, more, "echo $A $B $DSN; sleep 0.5");
    assert_eq!(finished.out, "a1 b2 sql://a1\n", "{}", finished.log);
    for line in ["first said", "second a1", "beside a1 b2 sql://a1", "after a1 own <a1>"] {
        assert!(finished.log.contains(&format!("bookend: {line}")), "{line}: {}", finished.log);
    }
}

#[test]
fn a_bad_variable_line_names_handler_line_and_key() {
    let script = r#"printf 'A = "1"\nPORT = 8080\nTOKEN = "hunter2"\n' >&3"#;
    let finished = with_pre_start(script, "", "echo started");
    assert_eq!(finished.code(), 125);
    assert_eq!(finished.out, "");
    for expected in ["handler=\"prepare\"", "descriptor 3: line 2: \"PORT\": a number"] {
        assert!(finished.log.contains(expected), "{expected}: {}", finished.log);
    }
    assert!(!finished.log.contains("hunter2"), "{}", finished.log);
}

#[test]
fn the_reason_of_a_failure_is_logged_however_long_it_is() {
    let script = "for n in 1 2 3 4 5 6; do seq -f \"V$n%.0f = 1\" 900; done >&3";
    let finished = with_pre_start(script, "", "echo started");
    assert_eq!((finished.code(), finished.out.as_str()), (125, ""));
    let expected = "handler failed: descriptor 3: line 1: \"V11\": a number is not a string";
    assert!(finished.log.contains(expected), "{}", finished.log);
    let longest = finished.log.lines().map(str::len).max().unwrap();
    assert!(longest < 4000 && !finished.log.contains("log lines were dropped"), "{longest}");
}

#[test]
fn a_failed_handler_sets_no_variables() {
    let script = r#"echo 'A = "1"' >&3; exit 3"#;
    let more = "failurePolicy = \"Ignore\"";
    let finished = with_pre_start(script, more, "echo \"<$A>\"");
    assert_eq!((finished.code(), &*finished.out), (0, "<>\n"), "{}", finished.log);
    let finished = with_pre_start("echo 'A = 1' >&3", more, "echo \"<$A>\"");
    assert_eq!((finished.code(), &*finished.out), (0, "<>\n"), "{}", finished.log);
}

#[test]
fn too_many_variables_fail_the_handler_without_a_hang() {
    let script = "head -c 200000 /dev/zero | tr '\\0' '#' >&3";
    let finished = with_pre_start(script, "", "echo started");
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("descriptor 3: more than 65536 bytes"), "{}", finished.log);
}

#[test]
fn a_daemon_that_keeps_the_descriptor_delays_nothing() {
    let script = r#"echo 'A = "1"' >&3; sleep 1000 & exit 0"#;
    let finished = with_pre_start(script, "", "echo $A");
    assert_eq!((finished.code(), &*finished.out), (0, "1\n"), "{}", finished.log);
}

#[test]
fn no_other_program_gets_the_descriptor() {
    let look = "readlink /proc/$PID/fd/3 || echo closed";
    // The process that runs the tests may have one open.
    let usual = Init::first_process(&["--", "sh", "-c", &look.replace("$PID", "$$")]).finish().out;
    let config = format!(
        "lifecycle.preStart.exec.command = [\"true\"]\n\
         lifecycle.postStop.exec.command = [\"sh\", \"-c\", \"{}\"]",
        look.replace("$PID", "$$$$")
    );
    let finished = Init::configured(&config, &["--", "sh", "-c", &look.replace("$PID", "$$")]).finish();
    assert_eq!(finished.out, usual, "{}", finished.log);
    assert!(finished.log.contains(&format!("bookend: {}", usual.trim())), "{}", finished.log);
}
