//! What must hold of the host's parsers.

use crate::manifest::{self, Manifest, Target};
use crate::outbound::Allowed;
use std::collections::BTreeSet;
use std::path::{Component, Path};

const PATH: &str = "/app/spin.toml";

/// Parses a spin.toml.
///
/// What is accepted mounts each directory at one absolute place without `..`, has variables that an environment can
/// hold, and takes its component from below the manifest's directory or an absolute path. What is refused has the
/// manifest's name and a line that it has.
pub fn manifest_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let manifest = match Manifest::parse(Path::new(PATH), text) {
        Ok(manifest) => manifest,
        Err(error) => return assert_names_its_line(&format!("{error:#}"), text),
    };
    assert!(!manifest.endpoints.is_empty(), "nothing is served");
    for endpoint in &manifest.endpoints {
        if let Target::Component(index) = endpoint.target {
            assert!(index < manifest.components.len(), "{endpoint:?}");
        }
        assert!(
            endpoint.route.matches("*").is_none() && endpoint.route.matches("").is_none(),
            "a route must not match what is no path"
        );
    }
    manifest.components.iter().for_each(assert_component);
}

fn assert_component(component: &manifest::Component) {
    let mut places = BTreeSet::new();
    for mount in &component.files {
        let destination = Path::new(&mount.destination);
        assert!(destination.is_absolute(), "{mount:?}");
        assert!(
            destination
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_))),
            "{mount:?}"
        );
        assert!(!mount.source.is_empty(), "{mount:?}");
        assert!(places.insert(destination), "{mount:?} is there twice");
    }
    for (name, value) in &component.environment {
        assert!(!name.is_empty() && !name.contains('='), "{name:?}");
        assert!(!name.contains('\0') && !value.contains('\0'), "{name:?}");
    }
    assert!(component.source.is_absolute());
}

fn assert_names_its_line(error: &str, text: &str) {
    let rest = error
        .strip_prefix(PATH)
        .and_then(|rest| rest.strip_prefix(':'));
    let line = rest.and_then(|rest| rest.split_once(':')?.0.parse::<usize>().ok());
    let lines = 1 + text.matches('\n').count();
    assert!(
        line.is_some_and(|line| (1..=lines).contains(&line)),
        "{error:?} names no line of {lines}"
    );
    assert!(!error.contains('\n'), "{error:?} has more than one line");
}

/// Returns whether a pattern names an IPv6 address, which can be written in many ways.
fn named_address(pattern: &str) -> bool {
    pattern.matches(':').count() > 2
}

/// Parses an entry of `allowed_outbound_hosts`, the first line, and judges a URI by it, the rest.
///
/// A pattern without a star, a network and a range allows one scheme, one host and one port. No pattern allows a scheme that
/// is not of HTTP.
pub fn outbound_pattern(data: &[u8]) {
    let Some((pattern, uri)) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let mut allowed = Allowed::default();
    let Ok(uri) = uri.parse::<http::Uri>() else {
        let _ = allowed.add(pattern);
        return;
    };
    assert!(!allowed.allows(&uri), "nothing is allowed by default");
    if allowed.add(pattern).is_err() || !allowed.allows(&uri) {
        return;
    }
    let scheme = uri.scheme_str().expect("what is allowed has a scheme");
    let host = uri.host().expect("what is allowed has a host");
    let pattern = pattern.trim();
    assert!(
        matches!(scheme, "http" | "https")
            && (pattern.starts_with(&format!("{scheme}://")) || pattern.starts_with("*://")),
        "{pattern:?} allows {uri}"
    );
    let is_range = pattern.contains("..") || pattern.matches('/').count() > 2;
    if pattern.contains('*') || is_range || named_address(pattern) {
        return;
    }
    // A pattern without a star is a URI without a path, and allows what that is.
    let named: http::Uri = pattern.parse().expect("a pattern without a star is a URI");
    let port = |uri: &http::Uri| {
        uri.port_u16()
            .unwrap_or(if scheme == "https" { 443 } else { 80 })
    };
    assert!(
        named
            .host()
            .is_some_and(|named| named.eq_ignore_ascii_case(host)),
        "{pattern:?} allows {uri}"
    );
    assert_eq!(port(&named), port(&uri), "{pattern:?} allows {uri}");
}
