//! Assertions about the host's parsers.

use crate::manifest::{self, Manifest, Target};
use crate::outbound::Allowed;
use std::collections::BTreeSet;
use std::path::{Component, Path};

const PATH: &str = "/app/spin.toml";

/// Parses a spin.toml. Returns whether it was accepted.
///
/// An accepted manifest mounts each directory at its own absolute path without `..`, has variables that fit an
/// environment, and takes its components from absolute paths or from paths relative to the manifest. An error names the
/// manifest and one of its lines.
pub fn manifest_text(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let manifest = match Manifest::parse(Path::new(PATH), text) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert_names_its_line(&format!("{error:#}"), text);
            return false;
        }
    };
    assert!(!manifest.endpoints.is_empty(), "nothing is served");
    for endpoint in &manifest.endpoints {
        if let Target::Component(index) = endpoint.target {
            assert!(index < manifest.components.len(), "{endpoint:?}");
        }
        assert!(
            endpoint.route.matches("*").is_none() && endpoint.route.matches("").is_none(),
            "the route matches a target that is not a path"
        );
    }
    manifest.components.iter().for_each(assert_component);
    true
}

fn assert_component(component: &manifest::Component) {
    let mut destinations = BTreeSet::new();
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
        assert!(destinations.insert(destination), "{mount:?} is a duplicate");
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
        "{error:?} does not name one of {lines} lines"
    );
    assert!(!error.contains('\n'), "{error:?} has more than one line");
}

/// Returns whether a pattern names an IPv6 address, which has many spellings.
fn named_address(pattern: &str) -> bool {
    pattern.matches(':').count() > 2
}

/// Parses the first line as an entry of `allowed_outbound_hosts`, and matches the rest, a URI, against it. Returns
/// whether the URI was allowed.
///
/// A pattern without a star, a network or a range allows one scheme, one host and one port. Every pattern allows only
/// schemes of HTTP.
pub fn outbound_pattern(data: &[u8]) -> bool {
    let Some((pattern, uri)) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return false;
    };
    let mut allowed = Allowed::default();
    let Ok(uri) = uri.parse::<http::Uri>() else {
        let _ = allowed.add(pattern);
        return false;
    };
    assert!(!allowed.allows(&uri), "allowed by default");
    if allowed.add(pattern).is_err() || !allowed.allows(&uri) {
        return false;
    }
    let scheme = uri.scheme_str().expect("an allowed URI has a scheme");
    let host = uri.host().expect("an allowed URI has a host");
    let pattern = pattern.trim();
    assert!(
        matches!(scheme, "http" | "https")
            && (pattern.starts_with(&format!("{scheme}://")) || pattern.starts_with("*://")),
        "{pattern:?} allows {uri}"
    );
    let is_range = pattern.contains("..") || pattern.matches('/').count() > 2;
    if pattern.contains('*') || is_range || named_address(pattern) {
        return true;
    }
    // A pattern without a star is a URI without a path, and allows only that URI.
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
    true
}
