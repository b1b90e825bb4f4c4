//! The tests that can fail: they assert, unwrap, panic, or return an error.
//!
//! It is a check of names, so it finds a test that forgot its assertion, and not one whose assertion is always true.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::BTreeSet;
use syn::{Item, ItemFn, ReturnType};

/// Returns the names of the tests that cannot fail, among all functions of a package.
pub(super) fn without(items: &[Item]) -> Vec<String> {
    let functions = functions(items);
    let mut asserting = BTreeSet::new();
    // Each round finds the callers of the functions that the round before found.
    loop {
        let known = asserting.len();
        for function in &functions {
            if asserts(function.block.to_token_stream(), &asserting) {
                asserting.insert(function.sig.ident.to_string());
            }
        }
        if asserting.len() == known {
            break;
        }
    }
    let can_fail = |test: &ItemFn| {
        let returns = matches!(test.sig.output, ReturnType::Type(..));
        returns || asserting.contains(&test.sig.ident.to_string())
    };
    let tests = functions.iter().filter(|function| is_test(function));
    let vacuous = tests.filter(|test| !can_fail(test));
    vacuous.map(|test| test.sig.ident.to_string()).collect()
}

/// Returns all functions among the items, those of its modules included.
fn functions(items: &[Item]) -> Vec<&ItemFn> {
    let mut found = Vec::new();
    for item in items {
        match item {
            Item::Fn(function) => found.push(function),
            Item::Mod(module) => {
                let items = module
                    .content
                    .iter()
                    .flat_map(|(_, items)| functions(items));
                found.extend(items);
            }
            _ => {}
        }
    }
    found
}

/// Returns whether this is `#[test]`, or that of a runtime such as `#[tokio::test]`.
fn is_test(function: &ItemFn) -> bool {
    let last = |path: &syn::Path| {
        path.segments
            .last()
            .is_some_and(|name| name.ident == "test")
    };
    function
        .attrs
        .iter()
        .any(|attribute| last(attribute.path()))
}

/// Returns whether a body asserts, or calls one of the functions that do.
fn asserts(body: TokenStream, asserting: &BTreeSet<String>) -> bool {
    body.into_iter().any(|token| match token {
        TokenTree::Ident(name) => {
            let name = name.to_string();
            is_assertion(&name) || asserting.contains(&name)
        }
        TokenTree::Group(group) => asserts(group.stream(), asserting),
        _ => false,
    })
}

fn is_assertion(name: &str) -> bool {
    const NAMES: [&str; 5] = ["assert", "expect", "unwrap", "panic", "unreachable"];
    NAMES.iter().any(|start| name.starts_with(start))
}

#[test]
fn a_test_without_an_assertion_is_found() {
    let source = "
        #[test] fn vacuous() { let _ = 1 + 1; }
        #[tokio::test] async fn passes_on_an_error() -> Result<()> { run().await }
        mod tests { #[test] fn also_vacuous() { run(); } #[test] fn asserts() { check(); } }
        fn check() { assert!(run()); }
        fn run() {}";
    let parsed = syn::parse_file(source).expect("valid Rust");
    assert_eq!(without(&parsed.items), ["vacuous", "also_vacuous"]);
}
