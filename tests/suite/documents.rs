//! The targets of the documents exist: links and their anchors, files of the repository, targets of make. The manual
//! page can be read by man(1).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, bookend, has};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and its neighbours, and all of docs/; paths below the root.
fn documents() -> Vec<PathBuf> {
    let below = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        pages.map(|path| path.strip_prefix(root()).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = below(".");
    all.extend(below("docs"));
    all.sort();
    all
}

fn read(document: &Path) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The text without its fenced code blocks.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// The inline `code` of a text, without fenced blocks.
fn spans(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The targets of the links to files of the repository.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// A heading as a link anchor: GitHub's rule for our texts.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&read(&document)) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                _ => document.parent().unwrap().join(file),
            };
            let leads = root().join(&target).exists()
                && (anchor.is_empty() || anchors(&prose(&read(&target))).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_book_contains_every_page_and_the_readme_every_document() {
    let unreachable = |from: &str, below: &str| {
        let linked: BTreeSet<_> = links(&read(Path::new(from))).into_iter().collect();
        let folder = Path::new(from).parent().unwrap();
        let pages =
            documents().into_iter().filter(|page| page.parent() == Some(Path::new(below)) && page != Path::new(from));
        let pages = pages.map(|page| page.strip_prefix(folder).unwrap().display().to_string());
        pages.filter(|page| !linked.contains(page)).collect::<Vec<_>>()
    };
    assert_eq!(unreachable("docs/SUMMARY.md", "docs"), [""; 0]);
    assert_eq!(unreachable("README.md", ""), [""; 0]);
    assert!(links(&read(Path::new("README.md"))).iter().any(|link| link == "docs/SUMMARY.md"));
}

#[test]
fn every_message_in_troubleshooting_exists() {
    let sources = ["src", "crates"].map(|folder| files(&root().join(folder)));
    let sources: String = sources
        .iter()
        .flatten()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        // A string literal that goes on in the next line.
        .flat_map(|text| text.split("\\\n").map(|piece| piece.trim_start().to_owned()).collect::<Vec<_>>())
        .collect();
    let pages = ["docs/troubleshooting.md", "docs/shared-process-namespace.md"].map(|page| read(Path::new(page)));
    let tables = pages.iter().flat_map(|page| page.split("\n## Messages").skip(1));
    let messages: Vec<_> =
        tables.flat_map(str::lines).filter_map(|row| row.strip_prefix("| `")?.split_once("` |")).collect();
    assert!(messages.len() > 40, "{}", messages.len());
    // `hook refused: {}` and its reasons are written apart.
    let is_there = |text: &str| sources.contains(text) || text.split(": ").all(|part| sources.contains(part));
    let missing: Vec<_> = messages
        .iter()
        .filter(|(message, _)| !message.split("...").all(|part| is_there(part.trim())))
        .map(|(message, _)| message)
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The fixed parts of the text of each `warn!` and `error!`, up to their first colon.
fn warnings(source: &str) -> Vec<Vec<String>> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().replace("\\\"", "'");
    let source = source.replace("compile_error!(", "");
    let calls = ["warn!(", "error!("].map(|call| source.split(call).skip(1).map(str::to_owned).collect::<Vec<_>>());
    let texts = calls.into_iter().flatten().filter_map(|call| {
        let (fields, rest) = call.split_once('"')?;
        let text = rest.split_once('"')?.0.split("\\\n").map(str::trim_start).collect::<String>();
        // A call without a text of its own ends before the next string.
        (!fields.contains(';')).then_some(text)
    });
    let fixed = |text: String| {
        let parts = text.split('{').enumerate().map(|(at, part)| match at {
            0 => part,
            _ => part.split_once('}').map_or("", |(_, rest)| rest),
        });
        let parts = parts.filter_map(|part| part.trim_matches([' ', ':', ';']).split(": ").next());
        parts.filter(|part| part.len() >= 12).map(str::to_owned).collect::<Vec<_>>()
    };
    texts.map(fixed).filter(|parts| !parts.is_empty()).collect()
}

#[test]
fn every_warning_is_explained_in_a_document() {
    let pages: Vec<String> =
        files(&root().join("docs")).iter().filter_map(|page| fs::read_to_string(page).ok()).collect();
    let pages = pages.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let sources = files(&root().join("src")).into_iter().filter(|file| !file.starts_with(root().join("src/doctor")));
    let texts: Vec<Vec<String>> =
        sources.filter_map(|file| fs::read_to_string(file).ok()).flat_map(|text| warnings(&text)).collect();
    assert!(texts.len() > 25, "{}", texts.len());
    let missing: Vec<_> =
        texts.iter().filter(|parts| !parts.iter().any(|part| pages.contains(part.as_str()))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_file_named_in_a_document_exists() {
    let folders = [
        "src/", "crates/", "tests/", "docs/", "config/", "images/", "scripts/", "benches/", "fuzz/", ".ci/", ".cargo/",
    ];
    let mut missing = Vec::new();
    for document in documents() {
        for span in spans(&read(&document)) {
            let is_file = folders.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '*']);
            if is_file && !root().join(&span).exists() {
                missing.push(format!("{}: {span}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_make_target_named_in_a_document_exists() {
    let makefile = read(Path::new("Makefile"));
    let targets: BTreeSet<_> =
        makefile.lines().filter_map(|line| line.split_once(": ").map(|(name, _)| name)).collect();
    let mut unknown = Vec::new();
    for document in documents() {
        let text = read(&document);
        let fenced = text.split("\n```").skip(1).step_by(2).flat_map(str::lines).map(str::to_owned);
        let reported = spans(&text).into_iter().chain(fenced);
        // `MODEL_DISTURBANCES=3 make model`, and in a block `make demo    # nginx ...`.
        let made = reported.filter_map(|reported| {
            let rest = reported.split_once("make ").filter(|(before, _)| before.chars().all(|c| !c.is_lowercase()))?.1;
            Some(rest.split(' ').next()?.to_owned())
        });
        unknown
            .extend(made.filter(|target| !targets.contains(&**target)).map(|t| format!("{}: {t}", document.display())));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_ready_made_files_name_the_images_of_this_version() {
    let mut named = 0;
    for file in files(&root().join("config")) {
        let text = fs::read_to_string(&file).unwrap();
        for image in text.lines().filter_map(|line| line.trim_start().strip_prefix("image: bookend:")) {
            named += 1;
            assert!(["nginx", env!("CARGO_PKG_VERSION")].contains(&image), "{}: {image}", file.display());
        }
    }
    assert!(named >= 9, "{named}");
}

#[test]
fn the_manual_page_is_well_formed() {
    let page = read(Path::new("src/cli/generated/bookend.1"));
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let usual =
        "NAME SYNOPSIS DESCRIPTION OPTIONS SUBCOMMANDS EXIT_STATUS ENVIRONMENT FILES SIGNALS HTTP EXAMPLES SEE_ALSO";
    assert_eq!(sections.join(" ").replace("EXIT STATUS", "EXIT_STATUS").replace("SEE ALSO", "SEE_ALSO"), usual);
    if !has("the_manual_page_is_well_formed", "mandoc") {
        return;
    }
    let file = Folder::new();
    let file = file.write("bookend.1", &page);
    let checked = Command::new("mandoc").args(["-Tlint", "-Wstyle"]).arg(file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn the_configuration_in_the_manual_page_is_accepted() {
    let page = read(Path::new("src/cli/generated/bookend.1"));
    let example = page.split(".nf\n.RS\n").find(|part| part.starts_with("terminationGracePeriodSeconds")).unwrap();
    let folder = Folder::new();
    let file = folder.write("web.toml", &example.split("\n.RE").next().unwrap().replace("\\-", "-"));
    let checked =
        Command::new(bookend()).arg("check").arg(file).args(["--set", "app.command=[\"nginx\"]"]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
