//! A volume as a kubelet writes it: the files are in a directory with a time stamp, `..data` is a link to it, and the visible names
//! are links through `..data`. A new state is written beside the old one, and takes its place with one rename.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) struct KubeletVolume(PathBuf);

impl KubeletVolume {
    pub(super) fn new(folder: &Path) -> KubeletVolume {
        fs::create_dir_all(folder).unwrap();
        KubeletVolume(folder.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a state. As a kubelet, it does nothing if the volume has it already.
    pub(super) fn write(&self, files: &[(&str, &str)]) {
        let data = self.0.join("..data");
        let before = fs::read_link(&data).ok().map(|name| self.0.join(name));
        if let Some(before) = &before {
            let is_same =
                |(name, text): &(&str, &str)| fs::read_to_string(before.join(name)).is_ok_and(|old| old == *text);
            if files.iter().all(is_same) && fs::read_dir(before).unwrap().count() == files.len() {
                return;
            }
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("..2026_11_29_23_00_00.{:09}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stamped = self.0.join(&name);
        fs::create_dir(&stamped).unwrap();
        for (name, text) in files {
            fs::write(stamped.join(name), text).unwrap();
        }
        symlink(&name, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), &data).unwrap();
        for (name, _) in files {
            if fs::symlink_metadata(self.0.join(name)).is_err() {
                symlink(format!("..data/{name}"), self.0.join(name)).unwrap();
            }
        }
        if let Some(before) = before {
            for old in fs::read_dir(&before).unwrap().flatten() {
                let is_gone = files.iter().all(|(name, _)| old.file_name() != *name);
                if is_gone {
                    fs::remove_file(self.0.join(old.file_name())).unwrap();
                }
            }
            fs::remove_dir_all(before).unwrap();
        }
    }
}
