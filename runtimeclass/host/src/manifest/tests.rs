//! Valid and invalid manifests, and the lines that errors name.

#[path = "tests/refusals.rs"]
mod refusals;
#[path = "tests/triggers.rs"]
mod triggers;

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
    Ok(Manifest::parse(Path::new("dir/spin.toml"), text)?)
}

/// Returns the error for `GOOD` after a replacement.
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

fn parsed(good: &str, other: &str) -> Manifest {
    assert!(GOOD.contains(good), "{good:?} is not in the manifest");
    parse(&GOOD.replacen(good, other, 1)).expect("the manifest must be accepted")
}

#[test]
fn every_supported_key_is_read() {
    let manifest = parse(GOOD).expect("a good manifest");
    assert_eq!(manifest.name, "visits");
    assert_eq!(manifest.version.as_deref(), Some("0.1.0"));
    let [component] = manifest.components.as_slice() else {
        panic!("{:?}", manifest.components);
    };
    assert_eq!(component.source, Path::new("dir/visits.wasm"));
    let mount = Mount {
        source: "persistent".into(),
        destination: "/app/persistent".into(),
    };
    assert_eq!(component.files, [mount]);
    assert_eq!(
        component.environment.get("COLOUR").map(String::as_str),
        Some("blue")
    );
    let [endpoint] = manifest.endpoints.as_slice() else {
        panic!("{:?}", manifest.endpoints);
    };
    assert!(endpoint.route.matches("/any/path").is_some());
    assert!(matches!(endpoint.target, Target::Component(0)));
}

#[test]
fn an_unsupported_key_is_an_error_with_its_line() {
    assert_refused("authors =", "author =", 7, "unknown field `author`");
    assert_refused("workdir =", "shell =", 22, "unknown field `shell`");
    assert_refused(
        "route =",
        "colour = 1\nroute =",
        10,
        "unknown field `colour`",
    );
}

#[test]
fn bad_toml_is_an_error_with_its_line() {
    assert_refused("name = \"visits\"", "name = visits", 4, "");
    assert_refused("[component.visits]", "[component.visits", 13, "");
}

#[test]
fn a_variable_has_a_default_or_is_required() {
    let with = |lines: &str| format!("[variables]\n{lines}\n[application]");
    let manifest = parsed(
        "[application]",
        &with(
            "host = { default = \"a\", description = \"b\" }\ntoken = { required = true, secret = true }",
        ),
    );
    let declared: Vec<_> = manifest.variables.into_iter().collect();
    let expected = [("host", Some("a")), ("token", None)];
    assert_eq!(
        declared,
        expected.map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
    );
    for (line, says) in [
        ("host = {}", "either a default or required"),
        (
            "host = { default = \"a\", required = true }",
            "either a default or required",
        ),
        ("Host = { default = \"a\" }", "\"Host\" is not a valid"),
        ("host = { value = \"a\" }", "`value`"),
        ("host = { default = 1 }", "string"),
    ] {
        assert_refused("[application]", &with(line), 4, says);
    }
}

#[test]
fn templates_may_only_use_declared_variables() {
    let variables = "[variables]\nhost = { default = \"a\" }\n[application]";
    let text = GOOD.replacen("[application]", variables, 1);
    let line = "variables = { url = \"https://{{ host }}/\" }\nfiles =";
    let manifest = parse(&text.replacen("files =", line, 1)).expect("a template");
    let [component] = manifest.components.as_slice() else {
        panic!("{:?}", manifest.components);
    };
    assert_eq!(component.variables["url"].written(), "https://{{ host }}/");
    for (good, bad, says) in [
        (
            "files =",
            "variables = { url = \"{{ other }}\" }\nfiles =",
            "\"other\"",
        ),
        (
            "files =",
            "variables = { Url = \"a\" }\nfiles =",
            "\"Url\" is not a valid",
        ),
        ("https://*.example.com", "https://{{ other }}", "\"other\""),
        ("https://*.example.com", "https://{{ host", "without \"}}\""),
    ] {
        let line = if good == "files =" { 16 } else { 18 };
        assert_refused(good, bad, line, says);
    }
}

#[test]
fn only_whole_directories_are_mounted_each_at_one_absolute_path() {
    assert_refused(
        "{ source = \"persistent\", destination = \"/app/persistent\" }",
        "\"*.txt\"",
        16,
        "*.txt",
    );
    assert_refused("\"/app/persistent\"", "\"app\"", 16, "absolute");
    assert_refused(
        "\"/app/persistent\"",
        "\"/app/../etc\"",
        16,
        "without \"..\"",
    );
    let twice = "{ source = \"a\", destination = \"/app/persistent/\" }, { source = \"persistent\"";
    assert_refused("{ source = \"persistent\"", twice, 16, "twice");
}

#[test]
fn the_same_destination_in_another_spelling_is_a_duplicate() {
    let other = "{ source = \"persistent\", destination = \"/app/persistent\" }";
    for twice in ["//app//persistent", "/app/./persistent", "/app/persistent/"] {
        let entries = format!("{{ source = \"a\", destination = \"{twice}\" }}, {other}");
        assert_refused(other, &entries, 16, "twice");
    }
    let below = format!("{{ source = \"a\", destination = \"/app\" }}, {other}");
    let manifest = parse(&GOOD.replacen(other, &below, 1)).expect("a directory and one below it");
    assert_eq!(manifest.components[0].files.len(), 2);
}

/// Comparing each destination with all previous ones would take minutes.
#[test]
fn a_megabyte_of_destinations_is_read_quickly() {
    let other = "{ source = \"persistent\", destination = \"/app/persistent\" }";
    let mut entries = String::new();
    let mut count = 0;
    while entries.len() < 1 << 20 {
        count += 1;
        entries += &format!("{{source=\"a\",destination=\"/{count}\"}},\n");
    }
    let manifest = parse(&GOOD.replacen(other, &entries, 1)).expect("a large manifest");
    assert_eq!(manifest.components[0].files.len(), count);
    entries += "{ source = \"a\", destination = \"/1/\" }";
    let error = parse(&GOOD.replacen(other, &entries, 1)).expect_err("the first one again");
    assert!(
        error.to_string().ends_with("\"/1/\" is given twice"),
        "{error}"
    );
}

#[test]
fn an_environment_variable_must_have_a_valid_name() {
    assert_refused("{ COLOUR =", "{ \"A=B\" =", 17, "A=B");
}

#[test]
fn an_unknown_outbound_pattern_is_refused() {
    assert_refused(
        "https://*.example.com",
        "redis://example.com",
        18,
        "redis://example.com",
    );
}
