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
fn another_manifest_version_is_refused() {
    assert_refused("version = 2", "version = 3", 1, "must be 2");
    assert_refused("version = 2", "version = \"2\"", 1, "must be a number");
    assert_refused("spin_manifest_version = 2", "", 1, "is missing");
}

#[test]
fn a_manifest_of_version_1_is_named_before_its_tables_are_read() {
    let rest = "name = \"shop\"\ntrigger = { type = \"http\", base = \"/\" }\n[[component]]\nid = \"shop\"\n";
    for version in [
        "spin_version = \"1\"",
        "spin_version = 1",
        "spin_manifest_version = \"1\"",
        "spin_manifest_version = 1",
    ] {
        let error = parse(&format!("# Spin\n{version}\n{rest}")).expect_err(version);
        let error = error.to_string();
        assert!(
            error.starts_with("dir/spin.toml:2: this is a manifest of version 1")
                && error.contains("`spin doctor`"),
            "{error}"
        );
    }
}

const OTHER: &str = "[component.other]\nsource = \"other.wasm\"\n[[trigger.http]]\nroute = \"/other/:id\"\ncomponent = \"other\"\n[application]";

#[test]
fn several_triggers_reach_several_components() {
    let manifest = parsed("[application]", OTHER);
    assert_eq!(manifest.endpoints.len(), 2);
    let names: Vec<_> = manifest.components.iter().map(|it| &it.name).collect();
    assert_eq!(names, ["other", "visits"]);
    // One component may have several routes.
    let again = OTHER.replace("component = \"other\"", "component = \"visits\"");
    let manifest = parsed("[application]", &again);
    let names: Vec<_> = manifest.components.iter().map(|it| &it.name).collect();
    assert_eq!(
        (names, manifest.endpoints.len()),
        (vec![&"visits".to_owned()], 2)
    );
}

#[test]
fn a_component_without_a_route_is_checked_and_not_served() {
    let private = OTHER.replace("\"/other/:id\"", "{ private = true }");
    for other in [
        private.as_str(),
        "[component.other]\nsource = \"other.wasm\"\n[application]",
    ] {
        let manifest = parsed("[application]", other);
        let names: Vec<_> = manifest.components.iter().map(|it| &it.name).collect();
        assert_eq!(names, ["visits"]);
    }
    assert_refused(
        "[application]",
        &OTHER.replace(
            "\"other.wasm\"",
            "\"other.wasm\"\nkey_value_stores = [\"a\"]",
        ),
        5,
        "key_value_stores",
    );
    let other = private.replace("private = true", "private = false");
    assert_refused("[application]", &other, 6, "private = false is neither");
    assert_refused("\"/...\"", "{ private = true }", 1, "nothing to serve");
}

#[test]
fn a_trigger_must_reach_one_thing() {
    let other = "component = \"other\"";
    assert_refused("component = \"visits\"", other, 11, "no [component.other]");
    let both = "static_response = { body = \"x\" }\ncomponent = \"visits\"";
    assert_refused("component = \"visits\"", both, 11, "remove one");
    assert_refused("component = \"visits\"", "", 9, "must name a component");
}

#[test]
fn routes_that_take_the_same_requests_are_refused_with_both_lines() {
    for route in ["/...", "/*", "..."] {
        let again = format!(
            "[[trigger.http]]\nroute = {route:?}\ncomponent = \"visits\"\n[[trigger.http]]\nroute"
        );
        assert_refused("[[trigger.http]]\nroute", &again, 13, "of line 10 again");
    }
}

#[test]
fn a_route_must_be_possible() {
    assert_refused("\"/...\"", "\"/.../a\"", 10, "only at its end");
    let reserved = "\"/.well-known/spin/health\"";
    assert_refused("\"/...\"", reserved, 10, "answers itself");
}

#[test]
fn a_component_may_be_written_in_its_trigger() {
    let inline = "component = { source = \"inline.wasm\" }";
    let manifest = parsed("component = \"visits\"", inline);
    let sources: Vec<_> = manifest.components.iter().map(|it| &it.source).collect();
    assert_eq!(sources, [Path::new("dir/inline.wasm")]);
    let table = "[trigger.http.component]\nsource = \"inline.wasm\"\nfiles = [\"*\"]\n";
    assert_refused("component = \"visits\"", table, 13, "file pattern");
    let unknown = "[trigger.http.component]\nsource = \"inline.wasm\"\ncolour = 1\n";
    assert_refused("component = \"visits\"", unknown, 13, "`colour`");
}

#[test]
fn a_static_response_is_made_of_the_manifest() {
    let text =
        "static_response = { status_code = 302, headers = { Location = \"/a\" }, body = \"b\" }";
    let manifest = parsed("component = \"visits\"", text);
    let [endpoint] = manifest.endpoints.as_slice() else {
        panic!("{:?}", manifest.endpoints);
    };
    let Target::Response(response) = &endpoint.target else {
        panic!("{:?}", endpoint.target);
    };
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], "/a");
    assert_eq!(response.body(), "b");
    for (bad, says) in [
        ("status_code = 101", "101"),
        ("status_code = 70000", "70000"),
        ("headers = { \"a b\" = \"c\" }", "\"a b\""),
        ("headers = { a = \"b\\n\" }", "\"a\""),
        ("colour = 1", "`colour`"),
    ] {
        let text = format!("static_response = {{ {bad} }}");
        assert_refused("component = \"visits\"", &text, 11, says);
    }
}

#[test]
fn what_asks_for_nothing_is_accepted() {
    for (good, other) in [
        (
            "route =",
            "id = \"t\"\nexecutor = { type = \"http\" }\nroute =",
        ),
        ("route =", "executor = { type = \"spin\" }\nroute ="),
        ("route =", "components = {}\ndependencies = {}\nroute ="),
        ("[application]", "[variables]\n[application]"),
        ("authors =", "targets = [\"spin-up:3.3\"]\nauthors ="),
        (
            "[[trigger.http]]",
            "[application.tool.lint]\nlevel = 1\n[[trigger.http]]",
        ),
        (
            "[[trigger.http]]",
            "[application.trigger.http]\nbase = \"/\"\n[[trigger.http]]",
        ),
        (
            "[[trigger.http]]",
            "[application.trigger.redis]\naddress = \"a\"\n[[trigger.http]]",
        ),
        ("[application]", "[trigger]\nredis = []\n[application]"),
        (
            "files =",
            "key_value_stores = []\nsqlite_databases = []\nai_models = []\nallowed_http_hosts = []\n\
             exclude_files = []\ndependencies = {}\ndependencies_inherit_configuration = true\n\
             targets = [{ name = \"x\" }]\nvariables = {}\nfiles =",
        ),
        (
            "[component.visits.build]",
            "[component.visits.tool.test]\nsource = \"t\"\n[component.visits.profile.debug]\nsource = \"d.wasm\"\n\
             environment = { A = \"b\" }\ndependencies = { \"a:b\" = \"1.0\" }\nbuild.command = [\"make\"]\n\
             [component.visits.build]",
        ),
    ] {
        parsed(good, other);
    }
}

#[test]
fn what_the_host_does_not_have_is_refused_by_its_name() {
    let redis = "[[trigger.redis]]\nchannel = \"a\"\ncomponent = \"visits\"\n[[trigger.http]]";
    assert_refused("[[trigger.http]]", redis, 9, "[[trigger.redis]]");
    let base = "[application.trigger.http]\nbase = \"/api\"\n[[trigger.http]]";
    assert_refused("[[trigger.http]]", base, 10, "beginning of each route");
    for (line, says) in [
        (
            "executor = { type = \"wagi\" }",
            "\"wagi\" is not supported",
        ),
        ("executor = { type = \"other\" }", "\"other\" is unknown"),
        ("executor = { type = \"http\", argv = \"a\" }", "argv"),
        ("components = { a = \"b\" }", "components is not supported"),
        ("dependencies = { a = [] }", "dependencies is not supported"),
    ] {
        assert_refused("route =", &format!("{line}\nroute ="), 10, says);
    }
    for (line, says) in [
        ("key_value_stores = [\"default\"]", "key_value_stores"),
        ("sqlite_databases = [\"default\"]", "sqlite_databases"),
        ("ai_models = [\"m\"]", "ai_models"),
        ("exclude_files = [\"*.map\"]", "exclude_files"),
        ("allowed_http_hosts = [\"a.org\"]", "allowed_outbound_hosts"),
        ("dependencies = { \"a:b\" = \"1.0\" }", "wac plug"),
    ] {
        assert_refused("files =", &format!("{line}\nfiles ="), 16, says);
    }
    for (source, says) in [
        (
            "{ url = \"https://a.org/a.wasm\", digest = \"sha256:a\" }",
            "https://a.org/a.wasm",
        ),
        (
            "{ registry = \"r\", package = \"a:b\", version = \"1.0.0\" }",
            "wkg get a:b@1.0.0",
        ),
        ("{}", "must be a file"),
    ] {
        assert_refused("\"visits.wasm\"", source, 14, says);
    }
}

#[test]
fn a_variable_is_declared_with_a_default_or_required() {
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
        ("Host = { default = \"a\" }", "\"Host\" is no name"),
        ("host = { value = \"a\" }", "`value`"),
        ("host = { default = 1 }", "string"),
    ] {
        assert_refused("[application]", &with(line), 4, says);
    }
}

#[test]
fn templates_use_declared_variables() {
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
            "\"Url\" is no name",
        ),
        ("https://*.example.com", "https://{{ other }}", "\"other\""),
        ("https://*.example.com", "https://{{ host", "without \"}}\""),
    ] {
        let line = if good == "files =" { 16 } else { 18 };
        assert_refused(good, bad, line, says);
    }
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
fn the_same_destination_written_differently_is_given_twice() {
    let other = "{ source = \"persistent\", destination = \"/app/persistent\" }";
    for twice in ["//app//persistent", "/app/./persistent", "/app/persistent/"] {
        let entries = format!("{{ source = \"a\", destination = \"{twice}\" }}, {other}");
        assert_refused(other, &entries, 16, "twice");
    }
    let below = format!("{{ source = \"a\", destination = \"/app\" }}, {other}");
    let manifest = parse(&GOOD.replacen(other, &below, 1)).expect("a directory and one below it");
    assert_eq!(manifest.components[0].files.len(), 2);
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
    assert_eq!(manifest.components[0].files.len(), count);
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
