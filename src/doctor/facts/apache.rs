//! Apache httpd: the files that `-D DUMP_INCLUDES` names. Pure.

use super::command::AppCommand;
use super::config_text::ConfigFile;

/// Apache as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Apache {
    /// Every file it reads.
    pub(crate) files: Vec<ConfigFile>,
}

/// The files of `-D DUMP_INCLUDES`: `  (*) /etc/apache2/apache2.conf`, `    (146) /etc/...`.
pub(crate) fn included(dump: &str) -> impl Iterator<Item = &str> {
    dump.lines().filter_map(|line| line.trim_start().strip_prefix('(')?.split_once(") ").map(|(_, path)| path.trim()))
}

/// The arguments that choose Apache's configuration: `-f FILE`, `-d DIR`, `-D NAME`, `-c DIRECTIVE`, `-C DIRECTIVE`.
pub(crate) fn config_args(command: &AppCommand) -> Vec<String> {
    let mut args = Vec::new();
    let mut words = command.args();
    while let Some(word) = words.next() {
        let starts = ["-f", "-d", "-D", "-c", "-C"].iter().any(|option| word.starts_with(option));
        let value = if starts && word.len() == 2 { words.next() } else { None };
        let is_foreground = value.unwrap_or(word).ends_with("FOREGROUND");
        if starts && !is_foreground {
            args.extend([Some(word), value].into_iter().flatten().map(str::to_owned));
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_included_files_are_found() {
        let dump = "Included configuration files:\n  (*) /etc/apache2/apache2.conf\n    (146) /etc/apache2/mods-enabled/mime.load\n";
        let files: Vec<_> = included(dump).collect();
        assert_eq!(files, ["/etc/apache2/apache2.conf", "/etc/apache2/mods-enabled/mime.load"]);
    }

    #[test]
    fn apache_is_asked_about_its_own_file() {
        let line = "apache2 -D FOREGROUND -f /my.conf -DX -d /srv -e info";
        let command = AppCommand::new(line.split(' ').map(str::to_owned).collect(), |_| None);
        assert_eq!(config_args(&command), ["-f", "/my.conf", "-DX", "-d", "/srv"]);
    }
}
