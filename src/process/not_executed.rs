//! Why a program could not be executed, in words that help where errno's do not: ENOENT is also a missing loader, a
//! command that is one word, a `--` too many.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// What to look at, in brackets behind the program's name; nothing where errno says it.
pub(super) fn look_at(program: &OsStr, errno: Option<i32>) -> &'static str {
    match errno.map(Errno::from_raw) {
        Some(Errno::ENOENT) => what_is_missing(program.as_bytes(), Path::new(program).exists()),
        Some(Errno::ENOEXEC) => " (neither a program for this machine nor a script that begins with #!)",
        _ => "",
    }
}

fn what_is_missing(program: &[u8], is_there: bool) -> &'static str {
    let has_slash = program.contains(&b'/');
    match program {
        [b'-', ..] => " (what follows the `--` of the ENTRYPOINT is the program)",
        _ if has_slash && is_there => " (it is there; the interpreter or the loader that it names is not)",
        _ if program.contains(&b' ') => " (program and arguments are one word; they are to be several)",
        _ if has_slash => "",
        _ => " (in no folder of PATH)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enoent_is_explained_by_what_the_program_looks_like() {
        for (program, is_there, said) in [
            ("--", false, "ENTRYPOINT"),
            ("--version", false, "ENTRYPOINT"),
            ("/app/server", true, "loader"),
            ("/app/server --port 80", false, "one word"),
            ("nginx -g", false, "one word"),
            ("no-such-program", false, "PATH"),
        ] {
            assert!(what_is_missing(program.as_bytes(), is_there).contains(said), "{program}");
        }
        assert_eq!(what_is_missing(b"/app/server", false), "");
    }
}
