//! Rules about the repository, as ordinary tests.
//!
//! - `modules`: the files of a crate, the modules in them, and which file defines a path
//! - `circles`: the files that import each other, directly or through others
//! - `assertions`: the tests that can fail
//! - `documented`: the commands that a text names
//!
//! Files that import each other can be understood only together, so each file here can be read after those that it
//! imports. Test code inside a crate is left out of that rule, because it may look anywhere.

mod assertions;
mod circles;
mod documented;
mod modules;

use crate::{Arguments, workspace};
use clap::Parser;
use modules::Crate;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The number of lines that a file of Rust may have.
const MAX_LINES: usize = 400;

/// Returns all files of Rust, relative to the top of the repository.
fn files(top: &Path) -> Vec<String> {
    let files = files_like(top, "*.rs");
    assert!(files.len() > 300, "git lists only {} files", files.len());
    files
}

/// Returns all files that match a pattern of git, relative to the top of the repository.
fn files_like(top: &Path, pattern: &str) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .arg(pattern)
        .current_dir(top)
        .output()
        .expect("git lists the files");
    let files = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let files = files.lines().filter(|file| top.join(file).is_file());
    files.map(str::to_owned).collect()
}

/// Returns whether a file is the root of a crate.
fn is_root(file: &str) -> bool {
    let (directory, name) = file.rsplit_once('/').unwrap_or_default();
    let of_a_crate = directory.ends_with("src") || directory.starts_with("tests/");
    of_a_crate && ["lib.rs", "main.rs"].contains(&name)
}

#[test]
fn no_files_import_each_other() {
    let top = workspace::root();
    let crates = files(&top).into_iter().filter(|file| is_root(file));
    let crates: Vec<Crate> = crates.map(|root| Crate::read(&top, &root)).collect();
    assert!(crates.len() > 15, "only {} crates were found", crates.len());
    let circles: Vec<String> = crates
        .iter()
        .flat_map(|krate| circles::find(&krate.imports()))
        .collect();
    assert!(
        circles.is_empty(),
        "files import each other (move what both need into a file of its own):\n{}",
        circles.join("\n")
    );
}

#[test]
fn no_file_is_too_long() {
    let top = workspace::root();
    let mut long = Vec::new();
    for file in files(&top) {
        let text = std::fs::read_to_string(top.join(&file)).expect("a source file");
        let lines = text.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{file} has {lines} lines"));
        }
    }
    assert!(
        long.is_empty(),
        "split what has more than {MAX_LINES} lines: {long:?}"
    );
}

#[test]
fn every_test_can_fail() {
    let top = workspace::root();
    let mut packages: BTreeMap<String, Vec<syn::Item>> = BTreeMap::new();
    for file in files(&top) {
        let text = std::fs::read_to_string(top.join(&file)).expect("a source file");
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let package = Path::new(&file)
            .ancestors()
            .find(|directory| top.join(directory).join("Cargo.toml").is_file())
            .expect("a package");
        let package = package.display().to_string();
        packages.entry(package).or_default().extend(parsed.items);
    }
    let vacuous: Vec<String> = packages
        .iter()
        .flat_map(|(package, items)| {
            let names = assertions::without(items).into_iter();
            names.map(move |name| format!("{package}: {name}"))
        })
        .collect();
    assert!(
        vacuous.is_empty(),
        "tests that assert nothing (assert, or return an error):\n{}",
        vacuous.join("\n")
    );
}

#[test]
fn every_command_in_the_documentation_is_one() {
    let top = workspace::root();
    let mut found = 0;
    let mut wrong = Vec::new();
    for file in files_like(&top, "*.md") {
        let text = std::fs::read_to_string(top.join(&file)).expect("a text");
        for command in documented::commands(&text) {
            found += 1;
            let arguments = std::iter::once("cargo xtask".to_owned()).chain(command);
            if let Err(error) = Arguments::try_parse_from(arguments) {
                wrong.push(format!("{file}: {error}"));
            }
        }
    }
    assert!(found > 30, "only {found} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
