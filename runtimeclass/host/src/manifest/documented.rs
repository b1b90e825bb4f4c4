//! Checks docs/spin.md: every example in its tables behaves as its row promises, and every key has a row.

use super::Manifest;
use std::path::Path;

const PAGE: &str = include_str!("../../../../docs/spin.md");

/// A row of a table.
struct Row<'p> {
    section: &'p str,
    key: &'p str,
    example: &'p str,
    verdict: &'p str,
    note: &'p str,
}

/// Returns the rows of the tables that have a verdict. A row without a key belongs to the key of the row above.
fn rows() -> Vec<Row<'static>> {
    let (mut section, mut key, mut rows) = ("", "", Vec::new());
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ").or(line.strip_prefix("### ")) {
            section = title;
        }
        let cells: Vec<_> = line.split(" | ").collect();
        let [first, example, verdict, note] = cells.as_slice() else {
            continue;
        };
        if !["supported", "ignored", "refused"].contains(verdict) {
            continue;
        }
        let first = first.trim_start_matches('|').trim().trim_matches('`');
        key = if first.is_empty() { key } else { first };
        rows.push(Row {
            section,
            key,
            example: example.trim_matches('`'),
            verdict,
            note: note.trim_end_matches('|').trim(),
        });
    }
    rows
}

/// Returns a manifest with `line` in a table, in place of the default line with the same key.
fn manifest(section: &str, line: &str) -> String {
    let key = |line: &str| {
        line.split(['=', '.'])
            .next()
            .unwrap_or("")
            .trim()
            .to_owned()
    };
    let tables: [(&str, &str, &[&str]); 5] = [
        ("Top level", "", &["spin_manifest_version = 2"]),
        ("`[application]`", "[application]", &["name = \"app\""]),
        ("", "[variables]", &["host = { default = \"h\" }"]),
        (
            "`[[trigger.http]]`",
            "[[trigger.http]]",
            &["route = \"/...\"", "component = \"app\""],
        ),
        (
            "`[component.NAME]`",
            "[component.app]",
            &["source = \"app.wasm\""],
        ),
    ];
    let mut text = String::new();
    let is_header = line.starts_with('[');
    for (name, header, defaults) in tables {
        text += &format!("{header}\n");
        let here = name == section && !is_header;
        let replaced = |default: &str| {
            here && (key(default) == key(line)
                || key(line) == "static_response" && key(default) == "component")
        };
        for default in defaults.iter().filter(|default| !replaced(default)) {
            text += &format!("{default}\n");
        }
        if here {
            text += &format!("{line}\n");
        }
    }
    match line {
        // The table exists already, and TOML forbids a second one.
        "[variables]" => {}
        "[component.unused]" => text += "[component.unused]\nsource = \"unused.wasm\"\n",
        _ if is_header => text += &format!("{line}\n"),
        _ => {}
    }
    text
}

fn parse(row: &Row<'_>) -> anyhow::Result<Manifest> {
    let text = match row.section {
        "Routes" => {
            let line = format!("route = {:?}", row.example);
            manifest("`[[trigger.http]]`", &line)
        }
        "Outbound hosts" => {
            let line = format!("allowed_outbound_hosts = [{:?}]", row.example);
            manifest("`[component.NAME]`", &line)
        }
        section => manifest(section, row.example),
    };
    Ok(Manifest::parse(Path::new("spin.toml"), &text)?)
}

#[test]
fn every_row_holds() {
    let rows = rows();
    assert!(rows.len() > 70, "only {} rows are found", rows.len());
    for row in rows {
        let (example, parsed) = (row.example, parse(&row));
        match (row.verdict, parsed) {
            ("refused", Ok(_)) => panic!("{example} is accepted"),
            ("refused", Err(error)) => {
                let error = error.to_string();
                assert!(error.ends_with(row.note), "{example}: {error}");
            }
            (_, Ok(_)) => {}
            (verdict, Err(error)) => panic!("{example} is not {verdict}: {error}"),
        }
    }
}

#[test]
fn every_key_has_a_row() {
    let rows = rows();
    for section in [
        "Top level",
        "`[application]`",
        "`[[trigger.http]]`",
        "`[component.NAME]`",
    ] {
        let text = manifest(section, "unknown = 1");
        let error = Manifest::parse(Path::new("spin.toml"), &text).expect_err("unknown");
        let error = error.to_string();
        let (_, known) = error.split_once("expected one of ").expect("a list");
        for key in known.split(", ") {
            let key = key.trim_matches('`');
            let documented = |row: &Row<'_>| row.section == section && row.key == key;
            assert!(rows.iter().any(documented), "{section}: {key} has no row");
        }
    }
}

#[test]
fn every_request_header_is_documented() {
    for name in [
        "spin-client-addr",
        "spin-full-url",
        "spin-path-info",
        "spin-matched-route",
        "spin-component-route",
        "spin-raw-component-route",
        "spin-base-path",
        "spin-path-match-user-id",
    ] {
        assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
    }
}
