//! php-fpm: the output of `php-fpm -tt`, and the files that it has read. Pure.

use super::config_text::ConfigFile;

/// php-fpm as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PhpFpm {
    /// The output of `php-fpm -tt`.
    pub(crate) dump: String,
    /// Its main file and the files that it includes.
    pub(crate) files: Vec<ConfigFile>,
}

impl PhpFpm {
    /// A value as php-fpm prints it: `[date] NOTICE: <tab>name = value`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.dump.lines().find_map(|line| {
            let (key, value) = line.split_once("NOTICE:")?.1.split_once(" = ")?;
            (key.trim() == name).then(|| value.trim())
        })
    }
}

/// The main file, which the last line names: `configuration file /etc/php/fpm.conf test is successful`.
pub(crate) fn main_file(dump: &str) -> Option<&str> {
    dump.split_once("configuration file ")?.1.split_once(" test is").map(|(path, _)| path)
}

/// The patterns of a file's `include` lines.
pub(crate) fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "include").then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_dump_are_found() {
        let dump = "[date] NOTICE: [global]\n[date] NOTICE: configuration file /etc/php-fpm.conf test is successful\n";
        assert_eq!(main_file(dump), Some("/etc/php-fpm.conf"));
        assert_eq!(includes("[global]\ninclude=/a/*.conf\n;include=/b\n").collect::<Vec<_>>(), ["/a/*.conf"]);
    }
}
