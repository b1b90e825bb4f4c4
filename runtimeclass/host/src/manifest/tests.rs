//! What a manifest may say, and the line of what it may not.

use super::*;

const GOOD: &str = r#"spin_manifest_version = 2

[application]
name = "visits"
version = "0.1.0"
description = "Counts"
authors = ["someone"]

[[trigger.http]]
route = "/..."
component = "visits"

[component.visits]
source = "visits.wasm"
description = "The counter"
files = [{ source = "persistent", destination = "/app/persistent" }]
environment = { COLOUR = "blue" }
allowed_outbound_hosts = ["https://*.example.com"]

[component.visits.build]
command = "make"
workdir = "."
watch = ["src/**/*"]
"#;

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(Path::new("dir/spin.toml"), text)
}

/// The error for `GOOD` with one text in it replaced.
fn error_after(good: &str, bad: &str) -> String {
    assert!(GOOD.contains(good), "{good:?} is not in the manifest");
    let error = parse(&GOOD.replacen(good, bad, 1)).expect_err("the manifest must be refused");
    format!("{error:#}")
}

#[track_caller]
fn assert_refused(good: &str, bad: &str, line: usize, says: &str) {
    let error = error_after(good, bad);
    assert!(
        error.starts_with(&format!("dir/spin.toml:{line}: ")),
        "wrong line: {error}"
    );
    assert!(error.contains(says), "does not say {says:?}: {error}");
    assert!(!error.contains('\n'), "more than one line: {error}");
}

#[test]
fn every_supported_key_is_read() {
    let manifest = parse(GOOD).expect("a good manifest");
    assert_eq!(manifest.name, "visits");
    assert_eq!(manifest.component, Path::new("dir/visits.wasm"));
    let mount = Mount {
        source: "persistent".into(),
        destination: "/app/persistent".into(),
    };
    assert_eq!(manifest.files, [mount]);
    assert_eq!(
        manifest.environment.get("COLOUR").map(String::as_str),
        Some("blue")
    );
    assert!(manifest.route.matches("/any/path"));
}

#[test]
fn an_unsupported_key_is_an_error_with_its_line() {
    assert_refused("authors =", "trigger =", 7, "unknown field `trigger`");
    assert_refused("workdir =", "shell =", 22, "unknown field `shell`");
    assert_refused(
        "description = \"The",
        "key_value_stores = [\"default\"] #",
        15,
        "`key_value_stores`",
    );
    assert_refused(
        "[component.visits.build]",
        "[variables]",
        20,
        "unknown field `variables`",
    );
}

#[test]
fn bad_toml_is_an_error_with_its_line() {
    assert_refused("name = \"visits\"", "name = visits", 4, "");
    assert_refused("[component.visits]", "[component.visits", 13, "");
}

#[test]
fn another_manifest_version_is_refused() {
    assert_refused("version = 2", "version = 1", 1, "must be 2");
}

#[test]
fn exactly_one_trigger_with_its_component_is_served() {
    assert_refused(
        "component = \"visits\"",
        "component = \"other\"",
        11,
        "no [component.other]",
    );
    assert_refused(
        "[application]",
        "[component.other]\nsource = \"x\"\n[application]",
        4,
        "no trigger",
    );
    let twice = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"visits\"\n[[trigger.http]]\nroute";
    assert_refused("[[trigger.http]]\nroute", twice, 12, "here are 2");
}

#[test]
fn a_route_must_be_a_path() {
    assert_refused("\"/...\"", "\"visits\"", 10, "route");
    assert_refused("\"/...\"", "\"/:name\"", 10, "route");
}

#[test]
fn only_whole_directories_are_mounted_each_at_one_absolute_place() {
    assert_refused(
        "{ source = \"persistent\", destination = \"/app/persistent\" }",
        "\"*.txt\"",
        16,
        "*.txt",
    );
    assert_refused("\"/app/persistent\"", "\"app\"", 16, "absolute");
    assert_refused("\"/app/persistent\"", "\"/app/../etc\"", 16, "absolute");
    let twice = "{ source = \"a\", destination = \"/app/persistent/\" }, { source = \"persistent\"";
    assert_refused("{ source = \"persistent\"", twice, 16, "twice");
}

#[test]
fn the_same_destination_written_differently_is_given_twice() {
    let other = "{ source = \"persistent\", destination = \"/app/persistent\" }";
    for twice in ["//app//persistent", "/app/./persistent", "/app/persistent/"] {
        let entries = format!("{{ source = \"a\", destination = \"{twice}\" }}, {other}");
        assert_refused(other, &entries, 16, "twice");
    }
    let below = format!("{{ source = \"a\", destination = \"/app\" }}, {other}");
    let manifest = parse(&GOOD.replacen(other, &below, 1)).expect("a directory and one below it");
    assert_eq!(manifest.files.len(), 2);
}

/// Comparing each destination with all before it would take minutes.
#[test]
fn a_megabyte_of_destinations_is_read_at_once() {
    let other = "{ source = \"persistent\", destination = \"/app/persistent\" }";
    let mut entries = String::new();
    let mut count = 0;
    while entries.len() < 1 << 20 {
        count += 1;
        entries += &format!("{{source=\"a\",destination=\"/{count}\"}},\n");
    }
    let manifest = parse(&GOOD.replacen(other, &entries, 1)).expect("a large manifest");
    assert_eq!(manifest.files.len(), count);
    entries += "{ source = \"a\", destination = \"/1/\" }";
    let error = parse(&GOOD.replacen(other, &entries, 1)).expect_err("the first one again");
    assert!(
        error.to_string().ends_with("\"/1/\" is given twice"),
        "{error}"
    );
}

#[test]
fn a_variable_must_have_a_name() {
    assert_refused("{ COLOUR =", "{ \"A=B\" =", 17, "A=B");
}

#[test]
fn an_outbound_pattern_that_is_not_understood_is_refused() {
    assert_refused(
        "https://*.example.com",
        "redis://example.com",
        18,
        "redis://example.com",
    );
}
