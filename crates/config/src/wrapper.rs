//! Programs that run another program: their own words are taken off the command. `bookend doctor` and the choice of a
//! profile read a command through it. Depends on nothing.

/// One of them.
struct Wrapper {
    name: &'static str,
    /// Options whose value is the next word.
    with_value: &'static [&'static str],
    /// Words of its own behind the options: `gosu USER`, `timeout SECONDS`.
    operands: usize,
}

const fn wrapper(name: &'static str, with_value: &'static [&'static str], operands: usize) -> Wrapper {
    Wrapper { name, with_value, operands }
}

/// From the programs' own manuals.
const WRAPPERS: &[Wrapper] = &[
    wrapper("tini", &["-p", "-e"], 0),
    wrapper("tini-static", &["-p", "-e"], 0),
    wrapper("docker-init", &["-p", "-e"], 0),
    wrapper("dumb-init", &["-r", "--rewrite"], 0),
    wrapper("catatonit", &[], 0),
    wrapper("env", &["-u", "--unset", "-C", "--chdir"], 0),
    wrapper("exec", &["-a"], 0),
    wrapper("nice", &["-n", "--adjustment"], 0),
    wrapper("ionice", &["-c", "--class", "-n", "--classdata"], 0),
    wrapper("nohup", &[], 0),
    wrapper("setsid", &[], 0),
    wrapper("stdbuf", &["-i", "-o", "-e"], 0),
    wrapper("taskset", &[], 1),
    wrapper("timeout", &["-s", "--signal", "-k", "--kill-after"], 1),
    wrapper(
        "setpriv",
        &[
            "--reuid",
            "--regid",
            "--ruid",
            "--rgid",
            "--euid",
            "--egid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--selinux-label",
            "--apparmor-profile",
        ],
        0,
    ),
    wrapper("chroot", &["--userspec", "--groups"], 1),
    wrapper("gosu", &[], 1),
    wrapper("su-exec", &[], 1),
    wrapper("s6-setuidgid", &[], 1),
    wrapper("runuser", &["-u", "--user", "-g", "--group", "-G", "--supp-group"], 0),
    wrapper("sudo", &["-u", "--user", "-g", "--group"], 0),
    wrapper("opentelemetry-instrument", &[], 0),
    wrapper("ddtrace-run", &[], 0),
];

/// The command that these words run. `None`: their program is not a wrapper.
pub fn unwrapped(program: &str, words: &[String]) -> Option<Vec<String>> {
    let rest = words.get(1..)?;
    match (program, rest.first().map(String::as_str)) {
        ("bundle", Some("exec")) | ("poetry" | "pipenv" | "uv" | "pdm", Some("run")) => {
            return Some(rest.iter().skip(1).skip_while(|word| word.starts_with('-')).cloned().collect());
        }
        _ if is_interpreter(program) => return script(rest),
        _ => {}
    }
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.name == program)?;
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        if wrapper.name == "env" && ["-S", "--split-string"].contains(&word.as_str()) {
            let text = rest.get(at + 1)?;
            return Some(text.split_whitespace().map(str::to_owned).chain(rest.iter().skip(at + 2).cloned()).collect());
        }
        if word == "--" {
            at += 1;
            break;
        }
        let is_assignment = wrapper.name == "env" && word.contains('=');
        if !word.starts_with('-') && !is_assignment {
            break;
        }
        at += if wrapper.with_value.contains(&word.as_str()) { 2 } else { 1 };
    }
    Some(rest.iter().skip(at + wrapper.operands).cloned().collect())
}

/// The script or the module that an interpreter runs, and its arguments. `None`: a program text, or none at all.
fn script(words: &[String]) -> Option<Vec<String>> {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        match word.as_str() {
            "-m" => return Some(words.get(at + 1..)?.to_vec()),
            "-c" | "-e" | "-" => return None,
            // Python's options with a value, and Ruby's.
            "-W" | "-X" | "-I" | "-r" => at += 2,
            _ => at += 1,
        }
    }
    words.get(at..).filter(|words| !words.is_empty()).map(<[String]>::to_vec)
}

/// Whether a program runs scripts whose options are read here.
pub fn is_interpreter(program: &str) -> bool {
    ["python", "pypy", "ruby"].iter().any(|name| program.starts_with(name))
}

/// The name of a program without its folder.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_values_belong_to_the_wrapper() {
        for line in [
            "tini -e 143 -g -- nginx -g x",
            "tini -p SIGTERM nginx -g x",
            "dumb-init --rewrite 15:3 nginx -g x",
            "dumb-init -r 15:3 -- nginx -g x",
            "nice -n 5 nginx -g x",
            "env -u HOME -i A=b nginx -g x",
            "setpriv --reuid 33 --regid=33 --clear-groups nginx -g x",
            "timeout -s INT 60 nginx -g x",
            "gosu www-data nginx -g x",
            "bundle exec nginx -g x",
            "python3 -m nginx -g x",
            "python3.11 -u -X dev -m nginx -g x",
            "ruby -I lib nginx -g x",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(unwrapped(&words[0], &words), Some(vec!["nginx".into(), "-g".into(), "x".into()]), "{line}");
        }
        let split = ["env".to_owned(), "-S".to_owned(), "nginx -g".to_owned(), "x".to_owned()];
        assert_eq!(unwrapped("env", &split).map(|words| words.len()), Some(3));
        assert_eq!(unwrapped("nginx", &["nginx".to_owned()]), None);
        let text = ["python3", "-c", "nginx"].map(str::to_owned);
        assert_eq!(unwrapped("python3", &text), None);
    }
}
