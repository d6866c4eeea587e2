//! The page at `/`: what it may load, what it shows, and that it follows a stop to its end in a real browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Folder, Init, PATIENCE, bookend, code, free_port, get, wait_until};

const APP: &[&str] = &["--", "sh", "-c", "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.02; done"];

#[test]
fn the_page_exists_only_if_enabled() {
    for (page, expected) in [("", 404), ("http.page = false\n", 404), ("http.page = true\n", 200)] {
        let port = free_port();
        let init = Init::configured(&format!("{page}http.listen = \"127.0.0.1:{port}\""), APP);
        init.wait_for_out("up");
        assert_eq!(code(port, "/"), expected, "{page}");
    }
}

#[test]
fn the_page_loads_nothing_and_sets_no_cookies() {
    let port = free_port();
    let init = Init::configured(&format!("http = {{ listen = \"127.0.0.1:{port}\", page = true }}"), APP);
    init.wait_for_out("up");
    let answer = get(port, "/").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    for line in
        ["content-type: text/html; charset=utf-8", "x-content-type-options: nosniff", "referrer-policy: no-referrer"]
    {
        assert!(head.lines().any(|there| there == line), "{line}: {head}");
    }
    let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!head.contains("set-cookie"), "{head}");
    assert!(body.starts_with("<!doctype html>") && body.trim_end().ends_with("</html>"));
}

#[test]
fn the_page_names_the_pod_and_the_image() {
    let port = free_port();
    let config = format!("http = {{ listen = \"127.0.0.1:{port}\", page = true }}");
    let names = [("POD_NAME", "web-1"), ("POD_NAMESPACE", "shop"), ("BOOKEND_IMAGE", "<i>web:7")];
    let init = Init::of_binary(&bookend(), Folder::new(), &names, &config, APP);
    init.wait_for_out("up");
    let page = get(port, "/").unwrap();
    assert!(page.contains("<small id=\"identity\">shop/web-1 · &lt;i&gt;web:7</small>"), "{page}");
}

#[test]
fn a_stop_is_followed_to_its_end_in_a_browser() {
    let test = "a_stop_is_followed_to_its_end_in_a_browser";
    let Some(browser) = Browser::open(test) else { return };
    let port = free_port();
    let config = format!(
        "terminationGracePeriodSeconds = 20\nhttp = {{ listen = \"127.0.0.1:{port}\", page = true }}\n\
         lifecycle.postStart = {{ name = \"<b>greet</b>\", exec.command = [\"echo\", \"<img src=x onerror=document.title=1>\"] }}\n\
         lifecycle.preStop = {{ name = \"pause\", sleep.seconds = 1.5 }}\n"
    );
    let init = Init::configured(&config, APP);
    init.wait_for_out("up");
    browser.go(&format!("http://127.0.0.1:{port}/"));
    let text = |selector: &str| browser.text(selector);
    wait_until("the page shows the phase", || text("#phase") == "Running" && text("#live") == "live");
    wait_until("and the handlers", || text("#handler-rows").contains("<b>greet</b>"));
    assert_eq!(
        browser.run("return document.querySelectorAll('#handlers b, img').length"),
        json!(0),
        "text, never markup"
    );
    assert!(text("#handler-rows pre").contains("onerror=document.title"), "the output is there, as text");
    browser.picture("running");
    init.signal(15);
    wait_until("the stop is drawn", || {
        text("#phase") == "Stopping"
            && browser.run("return document.querySelectorAll('svg rect.bar').length") == json!(1)
    });
    wait_until("the stop signal is drawn", || text("#picture").contains("SIGTERM to the app"));
    assert!(text("#picture").contains("preStop pause"), "beside what came before it");
    browser.picture("stopping");
    assert_eq!(init.finish().code(), 0);
    wait_until("the end is shown", || text("#live").contains("has ended"));
    assert!(text("#timeline").contains("SIGTERM sent to the app"), "the last state stays");
    let complaints = browser.complaints();
    let of_ours = |line: &&String| !line.contains("ERR_CONNECTION_REFUSED") && !line.contains("ERR_EMPTY_RESPONSE");
    assert_eq!(complaints.iter().find(of_ours), None, "neither an error nor something the policy forbids");
}

/// Chromium without a window, driven through chromedriver (W3C WebDriver).
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: Folder,
}

impl Browser {
    /// `None`: no browser on this machine, which is reported; in CI that is a failure.
    fn open(test: &str) -> Option<Browser> {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(driver) = command.spawn() else {
            let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
            assert!(!is_ci, "NOT RUN: {test}: no chromedriver: in CI nothing may be skipped");
            // The message goes directly to stderr, because libtest hides what a passing test prints.
            let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no chromedriver (scripts/setup brings it)");
            return None;
        };
        let profile = Folder::new();
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        wait_until("chromedriver listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let profile = format!("--user-data-dir={}", browser._profile.shown());
        let quiet = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=900,1000",
            profile.as_str(),
        ];
        let wanted = json!({ "alwaysMatch": { "goog:chromeOptions": { "args": quiet }, "goog:loggingPrefs": { "browser": "ALL" } } });
        let session = browser.call("POST", "", &json!({ "capabilities": wanted }));
        let id = session.get("sessionId").and_then(Value::as_str).unwrap_or_default();
        assert!(!id.is_empty(), "no session: {session}");
        browser.session = format!("/{id}");
        Some(browser)
    }

    fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).textContent", json!(selector));
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Errors and warnings of the console.
    fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        log.as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A picture in light and dark mode, in the folder that `PAGE_PICTURES` names.
    fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("PAGE_PICTURES") else { return };
        for scheme in ["light", "dark"] {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            let command = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
            self.call("POST", "/goog/cdp/execute", &command);
            let picture = self.call("GET", "/screenshot", &Value::Null);
            let path = std::path::Path::new(&folder).join(format!("{name}-{scheme}.png.base64"));
            std::fs::write(path, picture.as_str().unwrap_or_default()).unwrap();
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.exchange(method, path, body);
        assert!(answer.is_some(), "chromedriver has not answered {method} {path}");
        answer.unwrap_or_default()
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let body = if method == "GET" || method == "DELETE" { String::new() } else { body.to_string() };
        let length = body.len();
        let path = format!("/session{}{path}", self.session);
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        // The server keeps the connection although it was asked to close it: the length tells where the response ends.
        loop {
            let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
            answer.extend(chunk.iter().take(count));
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                if length.is_some_and(|length| body.len() >= length) {
                    let value: Value = serde_json::from_str(body).ok()?;
                    return value.get("value").cloned();
                }
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser, which would survive the driver's death.
            let _ = self.exchange("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
