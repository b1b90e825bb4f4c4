//! The files, links, commands, tests and versions in the pages exist.

use crate::{VERSION, repository};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folders with pages.
const FOLDERS: [&str; 9] = [
    ".",
    "docs",
    "docs/upstream",
    "fuzz",
    "k8s",
    "runtimeclass",
    "runtimeclass/installer",
    "src/protocol/tests",
    "tests/cluster",
];

/// The first parts of paths in the pages' code.
const TOP: [&str; 9] = [
    "bench/",
    "cluster/",
    "docs/",
    "k8s/",
    "runtimeclass/",
    "src/",
    "support/",
    "tests/",
    "xtask/",
];

struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    /// Reads all pages.
    fn all() -> Result<Vec<Self>> {
        let mut pages = Vec::new();
        for folder in FOLDERS.map(|folder| repository().join(folder)) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "md") {
                    let text = std::fs::read_to_string(&path)?;
                    pages.push(Self { path, text });
                }
            }
        }
        ensure!(pages.len() >= 4, "only {} pages were found", pages.len());
        Ok(pages)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Returns the text in fences and in spans of code.
    fn code(&self) -> impl Iterator<Item = &str> {
        // A fence has three backticks and a span one, so the pieces of code are at the odd positions.
        self.text.split('`').skip(1).step_by(2)
    }
}

fn problem(page: &Page, what: &str) -> String {
    format!("{}: {what}", page.path.display())
}

/// Returns the word after each occurrence of a command.
fn after<'a>(code: &'a str, command: &'a str) -> impl Iterator<Item = &'a str> {
    let rests = code.match_indices(command).map(move |(at, _)| {
        let begins = at == 0 || code[..at].ends_with([' ', '\n', '(']);
        if begins {
            &code[at + command.len()..]
        } else {
            ""
        }
    });
    rests.filter_map(|rest| {
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        word.into_iter().next().filter(|word| !word.is_empty())
    })
}

#[test]
fn every_file_in_a_page_exists() -> Result<()> {
    for page in Page::all()? {
        for code in page.code() {
            for word in code.split(|c: char| c.is_whitespace() || "\"'(),;=".contains(c)) {
                let known = TOP.iter().any(|top| word.starts_with(top));
                if !known || word.contains(['*', '…', '$', '<', '|']) {
                    continue;
                }
                let word = word.trim_end_matches([':', '.']);
                let there = repository().join(word).exists() || page.folder().join(word).exists();
                ensure!(there, problem(&page, &format!("{word} does not exist")));
            }
        }
    }
    Ok(())
}

#[test]
fn every_link_within_the_repository_has_a_target() -> Result<()> {
    for page in Page::all()? {
        for (at, _) in page.text.match_indices("](") {
            let target = page.text[at + 2..].split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => page.folder().join(file),
            };
            ensure!(
                path.exists(),
                problem(&page, &format!("{target} does not exist"))
            );
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&path)?;
                let there = text
                    .lines()
                    .any(|line| slug(line).as_deref() == Some(heading));
                ensure!(there, problem(&page, &format!("{target}: no such heading")));
            }
        }
    }
    Ok(())
}

/// Returns the anchor of a heading.
fn slug(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.to_lowercase().replace(' ', "-");
    let of_slug = |c: &char| c.is_alphanumeric() || *c == '-' || *c == '_';
    (line.starts_with('#')).then(|| kept.chars().filter(of_slug).collect())
}

/// The commands of xtask are checked by its own rules, which know their options.
#[test]
fn every_make_target_in_a_page_exists() -> Result<()> {
    let makefile = std::fs::read_to_string(repository().join("Makefile"))?;
    let targets = makefile.lines().filter_map(|line| line.split_once(':'));
    let targets: BTreeSet<&str> = targets.map(|(name, _)| name).collect();
    ensure!(targets.contains("up"));
    for page in Page::all()? {
        for code in page.code() {
            for target in after(code, "make ").filter(|word| !word.starts_with('-')) {
                let placeholder = target.chars().all(char::is_uppercase);
                ensure!(
                    placeholder || targets.contains(target),
                    problem(&page, &format!("there is no target {target}"))
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_guarantee_names_a_test_that_exists() -> Result<()> {
    let page = std::fs::read_to_string(repository().join("SECURITY.md"))?;
    // One table for each actor.
    let tables = page.split("| guarantee | file | test |").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(2).take_while(|line| !line.is_empty()));
    let mut tests = 0;
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(|column| column.trim()).collect();
        let [_, _, file, test, _] = columns[..] else {
            anyhow::bail!("SECURITY.md: not three columns: {row}");
        };
        let (file, test) = (file.trim_matches('`'), test.trim_matches('`'));
        let below = if file.contains('/') {
            ""
        } else {
            "tests/containerd"
        };
        let path = repository().join(below).join(file);
        let source = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(
            source.contains(&format!("fn {test}(")),
            "SECURITY.md: {file} has no test {test}"
        );
        tests += 1;
    }
    ensure!(tests > 30, "only {tests} guarantees were found");
    Ok(())
}

#[test]
fn every_page_has_the_current_version_of_the_image() -> Result<()> {
    for page in Page::all()? {
        for (at, name) in page.text.match_indices("localhost/visits:") {
            let tag = &page.text[at + name.len()..];
            ensure!(
                tag.starts_with(VERSION),
                problem(&page, &format!("an image whose version is not {VERSION}"))
            );
        }
    }
    Ok(())
}
