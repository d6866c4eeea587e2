//! nginx: what `nginx -T` shows of its whole configuration, and `-v` of its version. Pure.

use super::config_text::duration;
use super::{Facts, Finding, Place, seconds};
use bookend_lifecycle::signal::Signal;

/// nginx as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Nginx {
    /// Every directive, in the order of the files.
    pub(super) directives: Vec<Directive>,
    /// `None`: it is not nginx' own version (openresty, tengine).
    pub(super) version: Option<[u32; 3]>,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) at: Place,
}

impl Nginx {
    /// From the output of `nginx -T`, what was given to `-g`, and the output of `nginx -v`.
    pub(super) fn read(dump: &str, given: &str, version: &str) -> Nginx {
        let mut directives = Vec::new();
        for (file, text) in files(dump) {
            parse(file, text, &mut directives);
        }
        parse("-g", given, &mut directives);
        Nginx { directives, version: self::version(version) }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Directive> {
        self.directives.iter().rev().find(|directive| directive.name == name)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.find(name).is_some_and(|directive| directive.args.first().is_some_and(|arg| arg == value))
    }

    /// Whether it puts itself into the background.
    pub(super) fn daemonizes(&self) -> bool {
        !self.has("daemon", "off")
    }

    /// Its first file, where main directives stand.
    pub(super) fn main_file(&self) -> Option<Place> {
        self.directives.first().map(|first| Place { file: first.at.file.clone(), line: 1 })
    }

    /// Where the http block begins.
    fn http_block(&self) -> Option<Place> {
        self.directives.iter().find(|directive| directive.name == "http").map(|http| http.at.clone())
    }
}

/// The files of a dump: `# configuration file PATH:` stands before each.
fn files(dump: &str) -> impl Iterator<Item = (&str, &str)> {
    const MARK: &str = "# configuration file ";
    // The mark begins a line; the first one begins the text, or follows messages.
    let begins = std::iter::once(0).chain(dump.match_indices('\n').map(|(at, _)| at + 1));
    let marks: Vec<usize> = begins.filter(|&at| dump.get(at..).is_some_and(|rest| rest.starts_with(MARK))).collect();
    let ends: Vec<usize> = marks.iter().skip(1).copied().chain([dump.len()]).collect();
    marks.into_iter().zip(ends).filter_map(|(begin, end)| {
        let (head, text) = dump.get(begin..end)?.split_once('\n')?;
        Some((head.strip_prefix(MARK)?.strip_suffix(':')?, text))
    })
}

/// The directives of one file: words, ended by `;` or `{`.
fn parse(file: &str, text: &str, directives: &mut Vec<Directive>) {
    let (mut words, mut word): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut line, mut begun, mut quote) = (1, 1, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        }
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (_, '\\') => word.extend(chars.next()),
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') if word.is_empty() => quote = Some(c),
            (None, '#') if word.is_empty() => while chars.next_if(|&c| c != '\n').is_some() {},
            // `${name}` is a variable, not a block.
            (None, '{') if word.ends_with('$') => {
                word.push(c);
                while let Some(c) = chars.next_if(|&c| c != '}') {
                    word.push(c);
                }
                word.extend(chars.next());
            }
            (None, ';' | '{' | '}') => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                let mut said = std::mem::take(&mut words).into_iter();
                if let Some(name) = said.next() {
                    let at = Place { file: file.to_owned(), line: begun };
                    directives.push(Directive { name, args: said.collect(), at });
                }
            }
            (None, c) if c.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            (None, c) => {
                if words.is_empty() && word.is_empty() {
                    begun = line;
                }
                word.push(c);
            }
        }
    }
}

/// `nginx version: nginx/1.27.4`
fn version(text: &str) -> Option<[u32; 3]> {
    let rest = text.split_once("nginx/")?.1;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

pub(super) fn worker_shutdown_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    let add = format!("worker_shutdown_timeout {}s;", facts.seconds_for_app());
    let Some(said) = nginx.find("worker_shutdown_timeout") else {
        return vec![
            Finding::new(
                "nginx has no worker_shutdown_timeout",
                "one slow or silent client keeps nginx from ending, and SIGKILL takes the others' requests with it",
                format!("add to the main block: {add}"),
            )
            .at(nginx.main_file()),
        ];
    };
    let time = said.args.first().and_then(|arg| duration(arg));
    match (time, facts.time_for_app) {
        (Some(time), Some(left)) if time > left => vec![
            Finding::new(
                format!("worker_shutdown_timeout is {}, the budget leaves nginx {}", seconds(time), seconds(left)),
                "SIGKILL comes before nginx has closed what is left",
                format!("{add} or a larger terminationGracePeriodSeconds"),
            )
            .at(Some(said.at.clone())),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn keepalive_min_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    let keep_alive_is_off =
        nginx.find("keepalive_timeout").is_some_and(|said| said.args.first().is_some_and(|arg| arg == "0"));
    if keep_alive_is_off || nginx.find("keepalive_min_timeout").is_some() {
        return Vec::new();
    }
    let why = "at the stop nginx closes idle keep-alive connections at once, and a request that is on its way is lost";
    match nginx.version {
        Some(version) if version >= KEEPALIVE_MIN_TIMEOUT => {
            let found = Finding::new(
                "nginx has no keepalive_min_timeout",
                why,
                "add to the http block: keepalive_min_timeout 3s;",
            );
            vec![found.at(nginx.http_block())]
        }
        Some([major, minor, patch]) => {
            let what = format!("nginx {major}.{minor}.{patch} does not know keepalive_min_timeout");
            vec![Finding::note(what, why, "1.27.4 and later do; or clients that try again")]
        }
        None => Vec::new(),
    }
}

/// The version that brought it.
const KEEPALIVE_MIN_TIMEOUT: [u32; 3] = [1, 27, 4];

pub(super) fn lingering_close(facts: &Facts) -> Vec<Finding> {
    let Some(said) = facts.nginx.as_ref().and_then(|nginx| nginx.find("lingering_close")) else { return Vec::new() };
    if said.args.first().is_none_or(|arg| arg != "off") {
        return Vec::new();
    }
    let found = Finding::new(
        "lingering_close is off",
        "nginx resets a connection on which the client still sends, and the client may lose the answer it was sent",
        "remove it: on is the default",
    );
    vec![found.at(Some(said.at.clone()))]
}

pub(super) fn master_process(facts: &Facts) -> Vec<Finding> {
    let Some(nginx) = &facts.nginx else { return Vec::new() };
    if !nginx.has("master_process", "off") {
        return Vec::new();
    }
    let found = Finding::new(
        "master_process is off",
        "it is for debugging: nobody starts a worker that has died, and a reload drops connections",
        "remove it",
    );
    vec![found.at(nginx.find("master_process").map(|said| said.at.clone()))]
}

pub(super) fn worker_processes(facts: &Facts) -> Vec<Finding> {
    let Some(said) = facts.nginx.as_ref().and_then(|nginx| nginx.find("worker_processes")) else { return Vec::new() };
    let around = &facts.surroundings;
    let Some(quota) = around.cpu_quota.filter(|quota| around.cpus > quota.div_ceil(1000)) else { return Vec::new() };
    if said.args.first().is_none_or(|arg| arg != "auto") {
        return Vec::new();
    }
    let found = Finding::note(
        format!("worker_processes auto starts {} workers, the cgroup allows {quota}m of CPU", around.cpus),
        "auto does not know of quotas: while one worker runs the others are throttled, and a stop waits for each",
        format!("worker_processes {};", quota.div_ceil(1000)),
    );
    vec![found.at(Some(said.at.clone()))]
}

pub(super) fn sigwinch(facts: &Facts) -> Vec<Finding> {
    let winch: Option<Signal> = "SIGWINCH".parse().ok();
    if facts.nginx.is_none() || winch.is_none_or(|winch| facts.settings.app.signals.contains_key(&winch)) {
        return Vec::new();
    }
    vec![Finding::note(
        "SIGWINCH is passed on to nginx",
        "to nginx it means: end the workers; with a terminal (docker run -t) a resized window would do that",
        "signals = { SIGWINCH = \"ignore\" } in [app]",
    )]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Weight;
    use super::*;

    /// As nginx prints it: messages, then each file below its name.
    const DUMP: &str = "# configuration file /etc/nginx/nginx.conf:\n\
        user  nginx;\n\
        \n\
        events { worker_connections 1024; }\n\
        http {\n\
        \x20   log_format main '$remote_addr \"$request\"; {x}'; # not; a { block\n\
        \x20   include /etc/nginx/conf.d/*.conf;\n\
        }\n\
        \n\
        # configuration file /etc/nginx/conf.d/default.conf:\n\
        server {\n\
        \x20   listen       80;\n\
        \x20   location ~ \"^/a{2}$\" { return 200 ${arg_x}; }\n\
        \x20   lingering_close\n\
        \x20       off;\n\
        }\n";

    fn facts(dump: &str, given: &str, version: &str) -> Facts {
        Facts { nginx: Some(Nginx::read(dump, given, version)), ..Facts::default() }
    }

    #[test]
    fn directives_have_their_file_and_line() {
        let nginx = Nginx::read(DUMP, "daemon off;", "nginx version: nginx/1.28.0\n");
        let place = |name: &str| nginx.find(name).map(|found| (found.at.file.as_str(), found.at.line));
        assert_eq!(place("user"), Some(("/etc/nginx/nginx.conf", 1)));
        assert_eq!(place("include"), Some(("/etc/nginx/nginx.conf", 6)));
        assert_eq!(place("listen"), Some(("/etc/nginx/conf.d/default.conf", 2)));
        assert_eq!(place("lingering_close"), Some(("/etc/nginx/conf.d/default.conf", 4)));
        assert_eq!(place("daemon"), Some(("-g", 1)));
        assert_eq!(nginx.find("return").expect("it is there").args, ["200", "${arg_x}"]);
        assert_eq!(nginx.version, Some([1, 28, 0]));
        assert!(!nginx.daemonizes());
        assert!(Nginx::read(DUMP, "", "").daemonizes());
        assert_eq!(Nginx::read("", "", "nginx version: openresty/1.25.3.1").version, None);
    }

    #[test]
    fn a_worker_shutdown_timeout_is_missing_or_larger_than_the_budget() {
        let mut facts = facts(DUMP, "", "");
        facts.time_for_app = Some(Duration::from_secs(12));
        let found = worker_shutdown_timeout(&facts);
        assert!(found[0].fix.contains("worker_shutdown_timeout 12s;"), "{found:?}");
        let with = |time: &str| format!("# configuration file /n.conf:\n\nworker_shutdown_timeout {time};\n");
        facts.nginx = Some(Nginx::read(&with("1m"), "", ""));
        let found = worker_shutdown_timeout(&facts);
        assert_eq!(found[0].at, Some(Place { file: "/n.conf".to_owned(), line: 2 }));
        facts.nginx = Some(Nginx::read(&with("10s"), "", ""));
        assert_eq!(worker_shutdown_timeout(&facts), []);
    }

    #[test]
    fn keepalive_min_timeout_is_asked_for_where_the_version_knows_it() {
        let weight = |version: &str| keepalive_min_timeout(&facts(DUMP, "", version)).first().map(|found| found.weight);
        assert_eq!(weight("nginx version: nginx/1.27.4"), Some(Weight::Finding));
        assert_eq!(weight("nginx version: nginx/1.22.1"), Some(Weight::Note));
        assert_eq!(weight("nginx version: openresty/1.27.1"), None);
        assert_eq!(keepalive_min_timeout(&facts(DUMP, "", "nginx/1.29.0"))[0].at.as_ref().expect("a place").line, 4);
        let off = "# configuration file /n.conf:\nhttp { keepalive_timeout 0; }\n";
        assert_eq!(keepalive_min_timeout(&facts(off, "", "nginx/1.29.0")), []);
    }

    #[test]
    fn more_workers_than_the_quota_allows_are_a_note() {
        let mut facts = facts("# configuration file /n.conf:\nworker_processes auto;\n", "", "");
        (facts.surroundings.cpus, facts.surroundings.cpu_quota) = (8, Some(1500));
        assert_eq!(worker_processes(&facts)[0].fix, "worker_processes 2;");
        facts.surroundings.cpu_quota = Some(8000);
        assert_eq!(worker_processes(&facts), []);
        facts.surroundings.cpu_quota = None;
        assert_eq!(worker_processes(&facts), []);
    }

    #[test]
    fn a_close_that_does_not_linger_is_a_finding() {
        assert_eq!(lingering_close(&facts(DUMP, "", "")).len(), 1);
        assert_eq!(lingering_close(&facts("", "", "")), []);
    }
}
