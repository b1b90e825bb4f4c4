//! Prefetches: requests that a browser makes before a person has decided to visit. They are not visits.
//!
//! The response is 503. A browser discards it, and sends the request again if the person does visit.

use crate::response::{self, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};

/// The headers that announce a prefetch: the Fetch standard's, then the older ones of Chromium and Safari, of Firefox, and
/// of Safari.
pub const HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
    HeaderName::from_static("x-purpose"),
];

/// The `Vary` of responses that depend on these headers and `accept`.
pub const VARY: &str = "accept, sec-purpose, purpose, x-moz, x-purpose";

/// The tokens that announce a prefetch. Parameters may follow, as in `prefetch;prerender`.
const TOKENS: [&str; 3] = ["prefetch", "prerender", "preview"];

/// Returns whether a request is a prefetch.
pub fn announced(headers: &HeaderMap) -> bool {
    let values = HEADERS.into_iter().flat_map(|name| headers.get_all(name));
    let mut members = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    members.any(|member| {
        let token = member.split(';').next().unwrap_or_default().trim();
        TOKENS.iter().any(|it| token.eq_ignore_ascii_case(it))
    })
}

/// Returns the response to a prefetch.
pub fn refusal() -> Response {
    let line = response::line(
        StatusCode::SERVICE_UNAVAILABLE,
        "prefetch not counted, because it is not a visit: request this page again when a person visits",
    );
    response::with(line, RETRY_AFTER, "5")
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, VARY, announced};
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(all: &[(&str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&str, &[u8])| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_bytes(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in all.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn every_form_of_a_prefetch_is_recognised() {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("sec-purpose", "prefetch; prerender ; x=\"y\""),
            ("sec-purpose", " Prefetch ;prerender"),
            ("sec-purpose", "something, prefetch"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
            ("x-purpose", "prefetch"),
        ] {
            let one = headers(&[(name, value.as_bytes())]);
            assert!(announced(&one), "{name}: {value}");
        }
        let second = headers(&[("sec-purpose", b"other"), ("sec-purpose", b"prefetch")]);
        assert!(announced(&second));
    }

    #[test]
    fn anything_else_is_a_visit() {
        for (name, value) in [
            ("sec-purpose", &b""[..]),
            ("sec-purpose", b"prefetched"),
            ("sec-purpose", b"navigate;prefetch"),
            ("sec-purpose", b"\"prefetch\""),
            ("sec-purpose", b"\xff\xfe"),
            ("x-moz", b"pre fetch"),
            ("x-something", b"prefetch"),
            ("sec-fetch-dest", b"prefetch"),
        ] {
            assert!(!announced(&headers(&[(name, value)])), "{name}: {value:?}");
        }
        assert!(!announced(&HeaderMap::new()));
    }

    #[test]
    fn vary_lists_accept_and_every_header_that_announces_a_prefetch() {
        let named: Vec<_> = VARY.split(", ").collect();
        let headers = HEADERS;
        let names = headers.each_ref().map(HeaderName::as_str);
        assert_eq!(named, [&["accept"], &names[..]].concat());
    }
}
