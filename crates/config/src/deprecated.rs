//! Keys that have got another name. The old name is read for one more version, with a warning that names the new one.

use crate::key::env_name;
use crate::toml_text::join;

/// A key of one table that has got another name in the same table.
pub(crate) struct Renamed {
    /// The path of the table.
    pub(crate) table: &'static str,
    /// Its name before.
    pub(crate) old: &'static str,
    /// Its name now.
    pub(crate) new: &'static str,
}

/// All of them.
pub(crate) static RENAMED: &[Renamed] = &[Renamed { table: "app", old: "hurry", new: "secondSignal" }];

impl Renamed {
    /// The rename of a key, if it has one.
    pub(crate) fn find(table: &str, name: &str) -> Option<&'static Renamed> {
        RENAMED.iter().find(|renamed| renamed.table == table && renamed.old == name)
    }

    /// The rename that concerns this path, and the path with the new name.
    pub(crate) fn of_path(path: &str) -> Option<(&'static Renamed, String)> {
        RENAMED.iter().find_map(|renamed| {
            let rest = path.strip_prefix(&renamed.old_path())?;
            (rest.is_empty() || rest.starts_with('.')).then(|| (renamed, format!("{}{rest}", renamed.new_path())))
        })
    }

    /// The rename that concerns this variable, if it sets the key of this path.
    pub(crate) fn of_variable(name: &str, path: &str) -> Option<&'static Renamed> {
        RENAMED.iter().find(|renamed| {
            let rest = path.strip_prefix(&renamed.new_path()).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            rest.is_some_and(|rest| env_name(&format!("{}{rest}", renamed.old_path())) == name)
        })
    }

    pub(crate) fn old_path(&self) -> String {
        join(self.table, self.old)
    }

    pub(crate) fn new_path(&self) -> String {
        join(self.table, self.new)
    }

    /// The warning.
    pub(crate) fn message(&self) -> String {
        format!("deprecated key, removed in the next version; use {}", self.new_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::walk;
    use crate::vocabulary::ROOT;

    #[test]
    fn every_new_name_is_a_key_and_no_old_one_is() {
        let mut paths = Vec::new();
        walk(ROOT, &mut |path, _| paths.push(path.to_owned()));
        for renamed in RENAMED {
            assert!(paths.contains(&renamed.new_path()), "{}", renamed.new_path());
            assert!(!paths.contains(&renamed.old_path()), "{}", renamed.old_path());
        }
    }
}
