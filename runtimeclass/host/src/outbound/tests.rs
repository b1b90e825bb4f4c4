//! The requests that each form of a pattern allows, and the forms that are refused.

use super::*;

fn allows(pattern: &str, uri: &str) -> bool {
    let mut allowed = Allowed::default();
    allowed.add(pattern).expect("a pattern");
    allowed.allows(&uri.parse().expect("a URI"))
}

#[test]
fn nothing_is_allowed_by_default() {
    assert!(!Allowed::default().allows(&"http://example.com/".parse().expect("a URI")));
}

#[test]
fn scheme_host_and_port_must_all_match() {
    assert!(allows("http://example.com", "http://EXAMPLE.com/path"));
    assert!(allows("http://example.com", "http://example.com:80/"));
    assert!(!allows("http://example.com", "https://example.com/"));
    assert!(!allows("http://example.com", "http://example.com:8080/"));
    assert!(!allows("http://example.com", "http://evil-example.com/"));
    assert!(!allows(
        "http://example.com",
        "http://example.com.evil.org/"
    ));
    assert!(!allows(
        "http://example.com",
        "http://example.com@evil.org/"
    ));
    assert!(allows("http://[::1]:80", "http://[::1]/"));
}

#[test]
fn a_star_stands_for_a_host_its_subdomains_or_a_port() {
    assert!(
        allows("https://*", "https://anything.org/") && !allows("https://*", "https://a.org:8443/")
    );
    assert!(allows("https://*:*", "https://a.org:8443/"));
    assert!(allows("https://*.example.com", "https://a.b.example.com/"));
    assert!(!allows("https://*.example.com", "https://example.com/"));
    assert!(allows("http://127.0.0.1:*", "http://127.0.0.1:9/"));
}

#[test]
fn a_star_as_scheme_stands_for_http_and_https() {
    assert!(allows("*://*:*", "http://a.org/") && allows("*://*:*", "https://a.org:8443/"));
    assert!(allows("*://a.org:8080", "https://a.org:8080/"));
    assert!(!allows("*://*:*", "ftp://a.org/"));
}

#[test]
fn a_network_stands_for_its_addresses_however_they_are_written() {
    assert!(allows("http://10.0.0.0/8:*", "http://10.1.2.3:9/"));
    assert!(allows("http://10.1.2.3/8", "http://10.9.9.9/"));
    assert!(!allows("http://10.0.0.0/8", "http://11.0.0.1/"));
    assert!(!allows("http://0.0.0.0/0", "http://a.org/"));
    assert!(allows("http://fd00::/8", "http://[fd00::1]/"));
    assert!(allows("http://[::1]:80", "http://[0:0:0:0:0:0:0:1]/"));
    assert!(!allows("http://[::1]", "http://[::2]/"));
}

#[test]
fn ports_may_be_a_range_without_its_end() {
    assert!(allows("http://a:8000..8002", "http://a:8000/"));
    assert!(allows("http://a:8000..8002", "http://a:8001/"));
    assert!(!allows("http://a:8000..8002", "http://a:8002/"));
    assert!(!allows("http://a:8000..8002", "http://a/"));
}

#[test]
fn a_slash_at_the_end_is_not_a_path() {
    assert!(allows("http://a.org/", "http://a.org/path"));
    assert!(allows("http://a.org:81/", "http://a.org:81/path"));
}

fn refused(pattern: &str) -> String {
    let error = Allowed::default().add(pattern).expect_err(pattern);
    let error = error.to_string();
    assert!(
        error.contains(&format!("{pattern:?}")) && !error.contains('\n'),
        "{error}"
    );
    error
}

#[test]
fn unsupported_features_are_refused_by_name() {
    for (pattern, says) in [
        ("redis://a", "no client for redis"),
        ("postgres://a:5432", "no client for postgres"),
        ("http://self", "no name for requests to itself"),
        ("https://self.alt", "no name for requests to itself"),
        ("*://self:*", "no name for requests to itself"),
        ("http://back.spin.internal", "to each other"),
        ("http://*.spin.internal", "to each other"),
        ("insecure:allow-all", "*://*:*"),
        ("*://a", "no default port"),
    ] {
        let error = refused(pattern);
        assert!(error.contains(says), "{pattern}: {error}");
    }
}

#[test]
fn every_other_form_is_refused() {
    let malformed = [
        "",
        "*",
        "self",
        "example.com",
        "://a",
        "http://",
        "http://a/path",
        "http://a:80/path",
        "http://a:b",
        "http://a:+1",
        "http://a:1..b",
        "http://a:",
        "http://a*",
        "http://*.*.a",
        "http://u@a",
        "http://{a,b}",
        "http://a:{1,2}",
        "{http,https}://a",
        "http://{{ host }}",
        "http://*.",
        "http://a:99999",
        "http://10.0.0.0/99",
    ];
    for pattern in malformed {
        let error = refused(pattern);
        assert!(error.contains("write http://HOST"), "{error}");
    }
}
