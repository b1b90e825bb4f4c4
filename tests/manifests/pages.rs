//! What the pages name is there: files, links, commands, versions.

use crate::{VERSION, repository};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the pages are.
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

/// What a path in a command begins with.
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
    /// Each page, its path relative to the repository.
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
        ensure!(pages.len() >= 4, "{} pages are found", pages.len());
        Ok(pages)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The text in fences and in spans of code.
    fn code(&self) -> impl Iterator<Item = &str> {
        // Fences are three of what spans are one of, so both end up at odd places.
        self.text.split('`').skip(1).step_by(2)
    }
}

fn fails(page: &Page, what: &str) -> String {
    format!("{}: {what}", page.path.display())
}

/// The words after each occurrence of a command.
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
fn every_file_that_a_page_names_is_there() -> Result<()> {
    for page in Page::all()? {
        for code in page.code() {
            for word in code.split(|c: char| c.is_whitespace() || "\"'(),;=".contains(c)) {
                let known = TOP.iter().any(|top| word.starts_with(top));
                if !known || word.contains(['*', '…', '$', '<', '|']) {
                    continue;
                }
                let word = word.trim_end_matches([':', '.']);
                let there = repository().join(word).exists() || page.folder().join(word).exists();
                ensure!(there, fails(&page, &format!("{word} is not there")));
            }
        }
    }
    Ok(())
}

#[test]
fn every_link_within_the_repository_leads_somewhere() -> Result<()> {
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
                fails(&page, &format!("{target} is not there"))
            );
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&path)?;
                let there = text
                    .lines()
                    .any(|line| slug(line).as_deref() == Some(heading));
                ensure!(there, fails(&page, &format!("{target}: no such heading")));
            }
        }
    }
    Ok(())
}

/// What a heading is linked by.
fn slug(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.to_lowercase().replace(' ', "-");
    let of_slug = |c: &char| c.is_alphanumeric() || *c == '-' || *c == '_';
    (line.starts_with('#')).then(|| kept.chars().filter(of_slug).collect())
}

#[test]
fn every_command_of_the_repository_that_a_page_names_is_there() -> Result<()> {
    let path = repository().join("xtask/src/main.rs");
    let source = std::fs::read_to_string(&path)?;
    let (_, list) = source.split_once("enum Command {").context("no commands")?;
    let (list, _) = list.split_once("\n}").context("no end of the commands")?;
    let variants = list.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.split(['(', ',', ' ']).next()?;
        name.starts_with(char::is_uppercase)
            .then(|| name.to_lowercase())
    });
    let xtask: BTreeSet<String> = variants.collect();
    let makefile = std::fs::read_to_string(repository().join("Makefile"))?;
    let targets = makefile.lines().filter_map(|line| line.split_once(':'));
    let make: BTreeSet<String> = targets.map(|(name, _)| name.to_owned()).collect();
    ensure!(xtask.contains("up") && make.contains("up"));
    for page in Page::all()? {
        for code in page.code() {
            for (command, known) in [("cargo xtask ", &xtask), ("make ", &make)] {
                for word in after(code, command).filter(|word| !word.starts_with('-')) {
                    let placeholder = word.chars().all(char::is_uppercase);
                    let there = placeholder || known.contains(word);
                    ensure!(there, fails(&page, &format!("{command}{word} is none")));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_guarantee_has_a_test_that_is_there() -> Result<()> {
    let page = std::fs::read_to_string(repository().join("SECURITY.md"))?;
    // One table for each actor.
    let tables = page.split("| guarantee | file | test |").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(2).take_while(|line| !line.is_empty()));
    let mut tests = 0;
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(|column| column.trim()).collect();
        let [_, _, file, test, _] = columns[..] else {
            anyhow::bail!("SECURITY.md: {row} has not three columns");
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
    ensure!(tests > 30, "{tests} guarantees are found");
    Ok(())
}

#[test]
fn every_page_names_the_image_by_its_version() -> Result<()> {
    for page in Page::all()? {
        for (at, name) in page.text.match_indices("localhost/visits:") {
            let tag = &page.text[at + name.len()..];
            ensure!(
                tag.starts_with(VERSION),
                fails(
                    &page,
                    &format!("an image of another version than {VERSION}")
                )
            );
        }
    }
    Ok(())
}
