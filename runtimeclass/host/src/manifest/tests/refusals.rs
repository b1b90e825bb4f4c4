//! Values that request nothing are accepted. Unsupported features are refused.

use super::{assert_refused, parse, parsed};

#[test]
fn other_manifest_versions_are_refused() {
    assert_refused("version = 2", "version = 3", 1, "must be 2");
    assert_refused("version = 2", "version = \"2\"", 1, "must be a number");
    assert_refused("spin_manifest_version = 2", "", 1, "is missing");
}

#[test]
fn a_manifest_of_version_1_is_recognised_before_its_tables_are_read() {
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

#[test]
fn values_that_request_nothing_are_accepted() {
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
fn unsupported_features_are_refused_by_name() {
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
