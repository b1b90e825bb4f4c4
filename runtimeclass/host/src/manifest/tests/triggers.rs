//! Routes and their targets.

use super::{assert_refused, parsed};
use crate::manifest::Target;
use std::path::Path;

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
fn a_component_without_a_public_route_is_only_checked() {
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
fn a_trigger_must_have_exactly_one_target() {
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
fn invalid_and_reserved_routes_are_refused() {
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
