//! nginx: its whole configuration as `nginx -T` prints it, and its version. Pure.

use crate::doctor::finding::FileLine;

/// nginx as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Nginx {
    /// Every directive, in the order of the files.
    pub(crate) directives: Vec<Directive>,
    /// `None`: a variant with versions of its own (openresty, tengine).
    pub(crate) version: Option<[u32; 3]>,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) at: FileLine,
}

impl Nginx {
    /// Reads the output of `nginx -T`, the value of `-g`, and the output of `nginx -v`.
    pub(crate) fn read(dump: &str, global: &str, version: &str) -> Nginx {
        let mut directives = Vec::new();
        for (file, text) in files(dump) {
            parse(file, text, &mut directives);
        }
        parse("-g", global, &mut directives);
        Nginx { directives, version: version_of(version) }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Directive> {
        self.directives.iter().rev().find(|directive| directive.name == name)
    }

    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.find(name).is_some_and(|directive| directive.args.first().is_some_and(|arg| arg == value))
    }

    /// Whether it puts itself into the background.
    pub(crate) fn daemonizes(&self) -> bool {
        !self.has("daemon", "off")
    }

    /// Its first file, for directives of the main context.
    pub(crate) fn main_file(&self) -> Option<FileLine> {
        self.directives.first().map(|first| FileLine { file: first.at.file.clone(), line: 1 })
    }

    /// The beginning of the http block.
    pub(crate) fn http_block(&self) -> Option<FileLine> {
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
                let mut words = std::mem::take(&mut words).into_iter();
                if let Some(name) = words.next() {
                    let at = FileLine { file: file.to_owned(), line: begun };
                    directives.push(Directive { name, args: words.collect(), at });
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
fn version_of(text: &str) -> Option<[u32; 3]> {
    let rest = text.split_once("nginx/")?.1;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
/// The output of `nginx -T` for tests: messages, then each file below its name.
pub(crate) const DUMP: &str = "# configuration file /etc/nginx/nginx.conf:\n\
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
