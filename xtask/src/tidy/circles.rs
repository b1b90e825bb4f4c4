//! The files that import each other, directly or through others.

use super::modules::Imports;
use std::collections::{BTreeMap, BTreeSet};

/// Returns one text per circle: its files, and the names that each takes from another of them.
pub(super) fn find(imports: &Imports) -> Vec<String> {
    let mut circles: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for file in imports.keys() {
        let after = reached(imports, file);
        let circle: BTreeSet<&str> = after
            .iter()
            .copied()
            .filter(|other| reached(imports, other).contains(file.as_str()))
            .collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles
        .iter()
        .map(|circle| describe(imports, circle))
        .collect()
}

/// Returns the files that this one imports, and those that they import; itself only if it is among them.
fn reached<'a>(imports: &'a Imports, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = imports
        .get(file)
        .into_iter()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(
                imports
                    .get(file)
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .map(String::as_str),
            );
        }
    }
    reached
}

fn describe(imports: &Imports, circle: &BTreeSet<&str>) -> String {
    let mut lines = Vec::new();
    for from in circle {
        for (to, names) in &imports[*from] {
            if circle.contains(to.as_str()) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                lines.push(format!("  {from} imports {to}: {}", names.join(", ")));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn a_circle_names_its_files_and_what_ties_them() {
    let import = |to: &str, name: &str| (to.to_owned(), BTreeSet::from([name.to_owned()]));
    let imports = Imports::from([
        ("a.rs".into(), BTreeMap::from([import("b.rs", "B")])),
        (
            "b.rs".into(),
            BTreeMap::from([import("c.rs", "C"), import("d.rs", "D")]),
        ),
        ("c.rs".into(), BTreeMap::from([import("a.rs", "A")])),
        ("d.rs".into(), BTreeMap::new()),
    ]);
    assert_eq!(
        find(&imports),
        ["  a.rs imports b.rs: B\n  b.rs imports c.rs: C\n  c.rs imports a.rs: A"]
    );
}
