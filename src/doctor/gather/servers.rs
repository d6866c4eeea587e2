//! The configuration of the servers that doctor knows.

use std::env;
use std::fs;
use std::path::Path;

use super::{Gatherer, tool};
use crate::doctor::facts::apache::{self, Apache};
use crate::doctor::facts::command::option;
use crate::doctor::facts::config_text::ConfigFile;
use crate::doctor::facts::gunicorn::Gunicorn;
use crate::doctor::facts::known_server::is_php_fpm;
use crate::doctor::facts::nginx::Nginx;
use crate::doctor::facts::php_fpm::{self, PhpFpm};
use crate::doctor::facts::shell::words;
use crate::doctor::facts::uwsgi::Uwsgi;
use bookend_config::wrapper::base_name;

impl Gatherer<'_> {
    pub(super) fn nginx(&mut self) -> Option<Nginx> {
        if !matches!(self.command.program(), "nginx" | "nginx-debug") {
            return None;
        }
        let program = self.command.server.first()?.clone();
        let mut args: Vec<String> = self.command.server.iter().skip(1).cloned().collect();
        let global = self.command.option(&["-g"]).unwrap_or_default().to_owned();
        let version =
            tool::run(self.inherited, &program, &["-v".to_owned()]).map(|printed| printed.err).unwrap_or_default();
        args.push("-T".to_owned());
        let dump = self.output(&program, &args)?;
        Some(Nginx::read(&dump, &global, &version))
    }

    pub(super) fn php_fpm(&mut self) -> Option<PhpFpm> {
        if !is_php_fpm(self.command.program()) {
            return None;
        }
        let program = self.command.server.first()?.clone();
        let is_mode = |arg: &&String| matches!(arg.as_str(), "-F" | "--nodaemonize" | "-D" | "--daemonize");
        let mut args: Vec<String> = self.command.server.iter().skip(1).filter(|arg| !is_mode(arg)).cloned().collect();
        args.push("-tt".to_owned());
        let dump = self.output(&program, &args)?;
        let main = php_fpm::main_file(&dump).and_then(|path| self.file(path));
        let mut files: Vec<ConfigFile> = main.into_iter().collect();
        let patterns: Vec<String> =
            files.iter().flat_map(|file| php_fpm::includes(&file.text)).map(str::to_owned).collect();
        files.extend(patterns.iter().flat_map(|pattern| matching(pattern)).filter_map(|path| self.file(&path)));
        Some(PhpFpm { dump, files })
    }

    pub(super) fn gunicorn(&mut self) -> Option<Gunicorn> {
        if self.command.program() != "gunicorn" {
            return None;
        }
        let from_env = env::var("GUNICORN_CMD_ARGS").map(|text| words(&text)).unwrap_or_default();
        let args: Vec<String> = from_env.into_iter().chain(self.command.args().map(str::to_owned)).collect();
        let config = option(args.iter().map(String::as_str), &["-c", "--config"]).map(str::to_owned);
        let file = match config {
            Some(path) => self.named_file("gunicorn", path.trim_start_matches("file:")),
            None => self.file("gunicorn.conf.py"),
        };
        Some(Gunicorn { args, files: file.into_iter().collect() })
    }

    pub(super) fn uwsgi(&mut self) -> Option<Uwsgi> {
        if !matches!(self.command.program(), "uwsgi" | "uwsgi-core") {
            return None;
        }
        let args: Vec<String> = self.command.args().map(str::to_owned).collect();
        let is_ini = |arg: &&String| arg.ends_with(".ini");
        let paths: Vec<String> =
            args.iter().filter(is_ini).map(|arg| arg.trim_start_matches("--ini=").to_owned()).collect();
        let files = paths.iter().filter_map(|path| self.named_file("uWSGI", path)).collect();
        Some(Uwsgi { args, files })
    }

    pub(super) fn apache(&mut self) -> Option<Apache> {
        // Debian's apache2 needs the environment that apache2ctl gives it.
        let program = match self.command.program() {
            "apache2" | "apache2ctl" | "apache2-foreground" => "apache2ctl",
            "httpd" | "httpd-foreground" => "httpd",
            "apachectl" => "apachectl",
            _ => return None,
        };
        let mut args = apache::config_args(&self.command);
        args.extend(["-t", "-D", "DUMP_INCLUDES"].map(str::to_owned));
        let dump = self.output(program, &args)?;
        Some(Apache { files: apache::included(&dump).filter_map(|path| self.file(path)).collect() })
    }

    /// haproxy, Caddy and supervisord: the files of the command line, or the default one.
    pub(super) fn server_files(&mut self) -> Option<Vec<ConfigFile>> {
        let (options, defaults): (&[&str], &[&str]) = match self.command.program() {
            "haproxy" => (&["-f"], &[]),
            "caddy" => (&["--config", "-c"], &["Caddyfile", "/etc/caddy/Caddyfile"]),
            "supervisord" => (
                &["-c", "--configuration"],
                &[
                    "supervisord.conf",
                    "etc/supervisord.conf",
                    "/etc/supervisord.conf",
                    "/etc/supervisor/supervisord.conf",
                ],
            ),
            _ => return None,
        };
        let program = self.command.program().to_owned();
        let args: Vec<String> = self.command.args().map(str::to_owned).collect();
        let values = args.iter().zip(args.iter().skip(1)).filter(|(name, _)| options.contains(&name.as_str()));
        let mut named: Vec<String> = values.map(|(_, value)| value.clone()).collect();
        named.extend(
            args.iter()
                .filter_map(|arg| arg.split_once('='))
                .filter(|(name, _)| options.contains(name))
                .map(|(_, value)| value.to_owned()),
        );
        let files: Vec<ConfigFile> = match named.is_empty() {
            true => defaults.iter().find_map(|path| self.file(path)).into_iter().collect(),
            false => named.iter().filter_map(|path| self.named_file(&program, path)).collect(),
        };
        (!files.is_empty()).then_some(files)
    }
}

/// The files of a pattern whose last part may contain one star, as in php-fpm's includes. A relative pattern begins at
/// the prefix of the official image's php.
fn matching(pattern: &str) -> Vec<String> {
    const MAX_FILES: usize = 1000;
    let pattern = Path::new("/usr/local").join(pattern);
    let name = base_name(pattern.to_str().unwrap_or_default()).to_owned();
    let Some((before, after)) = name.split_once('*') else {
        return pattern.to_str().map(str::to_owned).into_iter().collect();
    };
    let entries = pattern.parent().and_then(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<String> = entries
        .into_iter()
        .flat_map(|entries| entries.flatten().take(MAX_FILES))
        .filter_map(|entry| entry.path().to_str().map(str::to_owned))
        .filter(|path| base_name(path).starts_with(before) && base_name(path).ends_with(after))
        .collect();
    found.sort_unstable();
    found
}
