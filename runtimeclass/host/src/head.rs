//! Checks and normalises the head of a request before a component sees it, for all versions of HTTP.

use crate::answer::{self, Answer};
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, StatusCode, Uri, Version};

/// Maximum number of headers in a request. HTTP/1's parser has the same limit, HTTP/2 only a limit for their size.
pub(crate) const MAX_HEADERS: usize = 100;

/// Makes the URI of `head` absolute, so that the component finds the scheme and authority there.
///
/// # Errors
/// Returns the response if the request must be refused.
#[expect(clippy::result_large_err, reason = "it is the response, moved once")]
pub(crate) fn prepare(head: &mut Parts) -> Result<(), Answer> {
    let bad = |text| Err(answer::line(StatusCode::BAD_REQUEST, text));
    join_cookies(&mut head.headers);
    if head.headers.len() > MAX_HEADERS {
        return Err(answer::line(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request has too many headers",
        ));
    }
    match authority(head) {
        Ok(None) => {}
        Ok(Some(authority)) => {
            if let Some(uri) = absolute(&head.uri, authority) {
                head.uri = uri;
            }
        }
        Err(text) => return bad(text),
    }
    if is_beyond_i64(&head.headers) {
        return Err(answer::line(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the content-length is too large",
        ));
    }
    Ok(())
}

/// Joins the cookies of a request to the single field that components expect. HTTP/2 clients may send a field for each
/// cookie (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (cookies.next(), cookies.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for cookie in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    // Valid values stay valid when they are joined.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Returns the authority of the `Host` header, if the header has one and the URI needs it.
///
/// A request with an ambiguous `Host` is refused, because a proxy in front of this server may have decided by another
/// `Host` than this server would use (RFC 9112, section 3.2, and RFC 9113, section 8.3.1).
fn authority(head: &Parts) -> Result<Option<Authority>, &'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err("the request has more than one Host header");
    }
    let authority = match host.map(|host| host.as_bytes()) {
        None if head.uri.authority().is_some() && head.version == Version::HTTP_2 => None,
        None if head.version < Version::HTTP_11 => None,
        None => return Err("the request has no Host header"),
        Some(b"") => None,
        Some(host) => Some(parse(host).ok_or("the Host header is not HOST[:PORT]")?),
    };
    match (head.uri.authority(), authority) {
        (Some(of_uri), Some(of_host)) if head.version == Version::HTTP_2 && *of_uri != of_host => {
            Err("the Host header differs from :authority")
        }
        // In HTTP/1 the URI takes precedence (RFC 9112, section 3.2.2).
        (Some(_), _) => Ok(None),
        (None, authority) => Ok(authority),
    }
}

/// Parses `HOST[:PORT]`. User information before an `@` is not allowed in a `Host` header.
fn parse(host: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(host).ok()?;
    (!authority.as_str().contains('@')).then_some(authority)
}

fn absolute(uri: &Uri, authority: Authority) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    let path = uri.path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).ok()
}

/// Returns whether the body's length is too large for a component, because spin-sdk reads it as a signed 64-bit number.
fn is_beyond_i64(headers: &HeaderMap) -> bool {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    length.is_some_and(|length| length.parse::<i64>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(version: Version, uri: &str, hosts: &[&str]) -> Result<String, u16> {
        let mut request = http::Request::get(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut head = request.body(()).expect("a request").into_parts().0;
        match prepare(&mut head) {
            Ok(()) => Ok(head.uri.to_string()),
            Err(answer) => Err(answer.status().as_u16()),
        }
    }

    #[test]
    fn the_host_is_unambiguous_or_the_request_is_refused() {
        const H10: Version = Version::HTTP_10;
        const H11: Version = Version::HTTP_11;
        const H2: Version = Version::HTTP_2;
        let good = |uri: &str| Ok(uri.to_owned());
        for (version, uri, hosts, expected) in [
            (H11, "/a?b", &["h:1"] as &[&str], good("http://h:1/a?b")),
            (H11, "/a", &["[::1]:5000"], good("http://[::1]:5000/a")),
            (H11, "/a", &[""], good("/a")),
            (H11, "/a", &[], Err(400)),
            (H11, "/a", &["h", "h"], Err(400)),
            (H11, "/a", &["not a host"], Err(400)),
            (H11, "/a", &["user@h"], Err(400)),
            (H11, "/a", &["h/path"], Err(400)),
            (H11, "http://other/a", &["h"], good("http://other/a")),
            (H11, "http://other/a", &[], Err(400)),
            (H10, "/a", &[], good("/a")),
            (H10, "/a", &["h"], good("http://h/a")),
            (H10, "/a", &["h", "h"], Err(400)),
            (H2, "http://h/a", &[], good("http://h/a")),
            (H2, "http://h/a", &["h"], good("http://h/a")),
            (H2, "http://h/a", &["other"], Err(400)),
            (H2, "/a", &["h"], good("http://h/a")),
            (H2, "/a", &[], Err(400)),
        ] {
            let prepared = prepared(version, uri, hosts);
            assert_eq!(prepared, expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn separate_cookie_fields_are_joined() {
        let mut request = http::Request::get("http://h/").version(Version::HTTP_2);
        for cookie in ["a=1", "b=2", "c=3"] {
            request = request.header(COOKIE, cookie);
        }
        let mut head = request.body(()).expect("a request").into_parts().0;
        assert!(prepare(&mut head).is_ok());
        let cookies: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_hundred_headers_are_allowed_and_one_more_is_refused() {
        for (count, refused) in [(99, false), (100, true)] {
            let mut request = http::Request::get("/").header(HOST, "h");
            for number in 0..count {
                request = request.header(format!("x-{number}"), "y");
            }
            let mut head = request.body(()).expect("a request").into_parts().0;
            assert_eq!(prepare(&mut head).is_err(), refused, "{count}");
        }
    }
}
