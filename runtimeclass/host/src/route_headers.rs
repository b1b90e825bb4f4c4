//! The request headers that Spin sets: the client's address, the URL and the matched route.
//!
//! A component trusts these headers as the host's, so a client's own headers with these names are removed. A proxy's
//! headers, `Forwarded` and `X-Forwarded-*`, pass unchanged.

use crate::route::{Captures, Route};
use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::net::SocketAddr;

const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");
const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
/// The beginning of the names of headers with the value of a name in the route.
const PATH_MATCH: &str = "spin-path-match-";

/// The headers that all requests of a route share.
#[derive(Debug)]
pub(crate) struct RouteHeaders {
    matched: HeaderValue,
    component: HeaderValue,
    raw: HeaderValue,
    /// One for each name in the route, in order. `None` if the name cannot be part of a header's name.
    names: Vec<Option<HeaderName>>,
}

impl RouteHeaders {
    /// Returns the headers of a route.
    pub(crate) fn of(route: &Route) -> Self {
        let written = route.written();
        let component = written.strip_suffix("/...").unwrap_or(written);
        let name = |name: &str| {
            let name = name.to_ascii_lowercase().replace('_', "-");
            format!("{PATH_MATCH}{name}").parse().ok()
        };
        Self {
            matched: value(route.completed()),
            component: value(component.to_owned()),
            raw: value(written.to_owned()),
            names: route.names().map(name).collect(),
        }
    }

    /// Sets the headers of a request that the route matches. Removes `Connection`, which concerns only the client and
    /// this server.
    pub(crate) fn set(&self, head: &mut Parts, captures: &Captures<'_>, peer: SocketAddr) {
        let headers = &mut head.headers;
        headers.remove(CONNECTION);
        remove_path_matches(headers);
        headers.insert(CLIENT_ADDR, value(canonical(peer).to_string()));
        headers.insert(FULL_URL, full_url(&head.uri));
        headers.insert(PATH_INFO, path_info(head.uri.path(), captures.rest));
        headers.insert(MATCHED_ROUTE, self.matched.clone());
        headers.insert(COMPONENT_ROUTE, self.component.clone());
        headers.insert(RAW_COMPONENT_ROUTE, self.raw.clone());
        headers.insert(BASE_PATH, HeaderValue::from_static("/"));
        for (name, part) in self.names.iter().zip(&captures.names) {
            if let Some(name) = name {
                headers.insert(name, value((*part).to_owned()));
            }
        }
    }
}

/// Converts text without control characters. Routes and URIs have none.
fn value(text: String) -> HeaderValue {
    let value = HeaderValue::from_maybe_shared(Bytes::from(text));
    value.unwrap_or(HeaderValue::from_static(""))
}

/// Returns the address with an IPv4-mapped IPv6 address as IPv4.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

fn remove_path_matches(headers: &mut HeaderMap) {
    let is_path_match = |name: &&HeaderName| name.as_str().starts_with(PATH_MATCH);
    while let Some(name) = headers.keys().find(is_path_match).cloned() {
        headers.remove(name);
    }
}

/// Returns the request's URL. The scheme is this server's, which has no TLS.
fn full_url(uri: &Uri) -> HeaderValue {
    let authority = uri.authority().map_or("localhost", |it| it.as_str());
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    value(["http://", authority, path].concat())
}

/// Returns the path after the route's own part, with the slashes of the request.
fn path_info(path: &str, rest: Option<&str>) -> HeaderValue {
    let slash = if path.ends_with('/') { "/" } else { "" };
    match rest {
        None => HeaderValue::from_static(""),
        Some("") => HeaderValue::from_static(slash),
        Some(rest) => value(["/", rest, slash].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a header's values in a request to this route.
    fn seen(route: &str, uri: &str, sent: &[(&str, &str)], name: &str) -> Vec<String> {
        let route = Route::parse(route).expect("a route");
        let mut request = http::Request::get(uri);
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).expect("a request").into_parts().0;
        let path = head.uri.path().to_owned();
        let captures = route.matches(&path).expect("the route matches");
        let peer = "[::ffff:192.0.2.1]:4000".parse().expect("an address");
        RouteHeaders::of(&route).set(&mut head, &captures, peer);
        let values = head.headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().expect("text").to_owned());
        values.collect()
    }

    #[test]
    fn every_header_has_spins_value() {
        let uri = "http://a.org:81/api/ann/x/y/?q=1";
        for (name, value) in [
            ("spin-client-addr", "192.0.2.1:4000"),
            ("spin-full-url", uri),
            ("spin-path-info", "/x/y/"),
            ("spin-matched-route", "/api/:user_id/..."),
            ("spin-component-route", "/api/:user_id"),
            ("spin-raw-component-route", "/api/:user_id/..."),
            ("spin-base-path", "/"),
            ("spin-path-match-user-id", "ann"),
        ] {
            assert_eq!(seen("/api/:user_id/...", uri, &[], name), [value], "{name}");
        }
    }

    #[test]
    fn the_path_info_is_the_path_after_the_route() {
        for (route, path, info) in [
            ("/...", "/", "/"),
            ("/...", "/a", "/a"),
            ("/a/...", "/a", ""),
            ("/a/...", "/a/", "/"),
            ("/a/...", "/a/b/", "/b/"),
            ("/a/b", "/a/b/", ""),
            ("/:x", "/a", ""),
        ] {
            let uri = format!("http://a.org{path}");
            assert_eq!(seen(route, &uri, &[], "spin-path-info"), [info], "{path}");
        }
    }

    #[test]
    fn the_root_route_has_spins_values() {
        let root = |name| seen("/", "http://a.org/", &[], name);
        assert_eq!(root("spin-matched-route"), [""]);
        assert_eq!(root("spin-component-route"), ["/"]);
        assert_eq!(root("spin-raw-component-route"), ["/"]);
        assert_eq!(
            seen("/...", "http://a.org/", &[], "spin-component-route"),
            [""]
        );
    }

    #[test]
    fn a_clients_own_headers_with_these_names_are_removed() {
        for name in [
            "Spin-Client-Addr",
            "SPIN-FULL-URL",
            "spin-path-info",
            "spin-matched-route",
            "spin-component-route",
            "spin-raw-component-route",
            "spin-base-path",
        ] {
            let sent = [(name, "forged"), (name, "forged again")];
            let values = seen("/...", "http://a.org/", &sent, name);
            assert!(values.len() == 1 && values[0] != "forged", "{name}");
        }
        let sent = [
            ("Spin-Path-Match-Id", "forged"),
            ("spin-path-match-other", "a"),
            ("spin-path-match-other", "b"),
            ("Connection", "close"),
        ];
        let values = |name| seen("/:id", "http://a.org/7", &sent, name);
        assert_eq!(values("spin-path-match-id"), ["7"]);
        assert!(values("spin-path-match-other").is_empty() && values("connection").is_empty());
    }

    #[test]
    fn a_proxys_headers_pass_unchanged() {
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "te"] {
            let values = seen("/...", "http://a.org/", &[(name, "a"), (name, "b")], name);
            assert_eq!(values, ["a", "b"], "{name}");
        }
    }

    #[test]
    fn a_request_without_a_host_is_for_localhost() {
        assert_eq!(
            seen("/...", "/a?b", &[], "spin-full-url"),
            ["http://localhost/a?b"]
        );
        let absolute = seen("/...", "https://a.org", &[], "spin-full-url");
        assert_eq!(absolute, ["http://a.org/"]);
    }

    #[test]
    fn the_last_of_two_names_for_the_same_header_counts() {
        let name = "spin-path-match-a-b";
        assert_eq!(
            seen("/:a_b/:A-B", "http://a.org/1/2", &[], name),
            ["2"],
            "one value"
        );
        let other = seen("/:a@", "http://a.org/1", &[], "spin-path-match-a@");
        assert!(other.is_empty(), "not a header name");
    }
}
