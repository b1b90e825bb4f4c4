//! An answer, before it is HTTP: what the routes make and the component sends.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// `text/plain`, as this component sends it.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, `content-length` among them: without it some hosts send the body in a second packet.
    pub headers: HeaderMap,
    /// The body; empty in answer to `HEAD`.
    pub body: Bytes,
}

impl Answer {
    /// A body of that media type. It shows the state of a moment: no cache may keep it.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Answer {
            status,
            headers,
            body,
        }
    }

    /// One line of text.
    pub fn line(status: StatusCode, line: impl std::fmt::Display) -> Self {
        Answer::new(status, TEXT, format!("{line}\n"))
    }

    /// Replaces a header.
    pub fn with(mut self, name: http::HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// The answer to a method that a route does not have.
    pub fn method_not_allowed() -> Self {
        Answer::line(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are answered here",
        )
        .with(ALLOW, "GET, HEAD")
    }

    /// The same without its body, which `HEAD` must not get. `content-length` goes with it: the number that a
    /// `GET` would show is not known without counting.
    pub fn without_body(mut self) -> Self {
        self.headers.remove(CONTENT_LENGTH);
        self.body = Bytes::new();
        self
    }
}
