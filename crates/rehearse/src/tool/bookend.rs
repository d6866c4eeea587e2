//! bookend in front of the server: its file, and its configuration.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::bounded;
use super::place::{Launch, Place};

/// bookend's file, and the configuration that the strategies use.
#[derive(Debug, Clone)]
pub(crate) struct Bookend {
    pub(crate) file: PathBuf,
    pub(crate) configuration: Configuration,
    /// The port of its endpoint, for the hook.
    pub(crate) port: u16,
}

/// The source of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Configuration {
    /// `--config`.
    File(PathBuf),
    /// The image has /etc/bookend/bookend.toml.
    OfTheImage,
    /// The rehearsal's own.
    Settings(Settings),
}

/// A configuration that the rehearsal chose.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// terminationGracePeriodSeconds.
    pub(crate) grace: u64,
    /// `None`: a drain of its own, for any server.
    pub(crate) profile: Option<String>,
    /// `None`: the drain as the profile has it.
    pub(crate) drain: Option<Drain>,
}

/// The drain's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drain {
    pub(crate) min: u64,
    pub(crate) quiet: u64,
    pub(crate) max: u64,
    pub(crate) until_not_busy: bool,
}

impl Settings {
    /// Keys and values, as `--set` takes them.
    fn keys(&self) -> Vec<(String, String)> {
        let mut keys = vec![("terminationGracePeriodSeconds".to_owned(), self.grace.to_string())];
        if let Some(profile) = &self.profile {
            keys.push(("app.profile".to_owned(), profile.clone()));
        }
        if let Some(drain) = self.drain {
            keys.push(("lifecycle.preStop".to_owned(), format!("[{{ name = \"drain\", drain = {} }}]", drain.toml())));
        }
        keys
    }

    /// The same as a configuration file.
    pub(crate) fn toml(&self) -> String {
        let mut text = format!("terminationGracePeriodSeconds = {}\n", self.grace);
        if let Some(profile) = &self.profile {
            text += &format!("\n[app]\nprofile = \"{profile}\"\n");
        }
        if let Some(drain) = self.drain {
            text += &format!("\n[lifecycle.preStop]\nname  = \"drain\"\ndrain = {}\n", drain.toml());
        }
        text
    }
}

impl Drain {
    fn toml(self) -> String {
        let until = if self.until_not_busy { ", until = \"NoBusyConnections\"" } else { "" };
        format!("{{ minSeconds = {}, quietSeconds = {}, maxSeconds = {}{until} }}", self.min, self.quiet, self.max)
    }
}

impl Bookend {
    /// Whether this bookend takes the value for the key.
    fn accepts(&self, setting: &str) -> bool {
        let mut check = Command::new(&self.file);
        check.args(["check", "--set", setting, "--set", "app.command=[\"true\"]"]);
        check.env_clear().env("BOOKEND_CONFIG", "/dev/null");
        bounded::run(&mut check, Duration::from_secs(10)).is_ok_and(|output| output.success)
    }

    /// The profile for a command: `auto` if this bookend has it, else by the program's name; `None` if it has no fitting one.
    pub(crate) fn profile_for(&self, command: &[String]) -> Option<String> {
        if self.accepts("app.profile=auto") {
            return Some("auto".to_owned());
        }
        let names = command.iter().filter_map(|word| Path::new(word).file_name()?.to_str());
        let name = names.map(|name| match name {
            "httpd" | "apache2" | "apache2ctl" => "apache",
            "postmaster" => "postgres",
            name => name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'),
        });
        // The first words may be wrappers and scripts.
        name.take(3).find(|name| !name.is_empty() && self.accepts(&format!("app.profile={name}"))).map(str::to_owned)
    }

    /// Whether the drain of a profile waits until no connection is busy.
    pub(crate) fn waits_for_busy_connections(&self, profile: &str, command: &[String]) -> bool {
        let command = format!("app.command={}", serde_json::json!(command));
        let mut check = Command::new(&self.file);
        check.args(["check", "--json", "--set", &format!("app.profile={profile}"), "--set", &command]);
        check.env_clear().env("BOOKEND_CONFIG", "/dev/null");
        let shown = bounded::run(&mut check, Duration::from_secs(10)).map(|output| output.stdout).unwrap_or_default();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
        let until = shown.pointer("/values/lifecycle.preStop.drain.until/value").and_then(serde_json::Value::as_str);
        until == Some("NoBusyConnections")
    }

    /// bookend in front of the server.
    pub(crate) fn launch(&self, place: &dyn Place, hook: bool) -> Launch {
        let inside = place.inside(&self.file, "bookend");
        let mut launch =
            Launch { init: vec![inside.clone()], files: vec![(self.file.clone(), inside)], env: Vec::new() };
        let mut option = |name: &str, value: String| launch.init.extend([name.to_owned(), value]);
        match &self.configuration {
            Configuration::OfTheImage => {}
            Configuration::File(file) => {
                let inside = place.inside(file, "bookend.toml");
                option("--config", inside.clone());
                launch.files.push((file.clone(), inside));
            }
            Configuration::Settings(settings) => {
                for (key, value) in settings.keys() {
                    option("--set", format!("{key}={value}"));
                }
            }
        }
        if hook {
            launch.init.extend(["--set".to_owned(), format!("http.listen=127.0.0.1:{}", self.port)]);
        }
        launch.init.push("--".to_owned());
        launch
    }
}
