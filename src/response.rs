//! Responses: what the responder makes and the component sends.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};

/// A whole response. Its body is empty in response to `HEAD`.
pub type Response = http::Response<Bytes>;

/// `text/plain`, as this component sends it.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Returns a response with a body of that media type. It shows the state of a moment, so no cache may keep it. It has a
/// `content-length`, because without one some hosts send the body in a second packet.
pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let length = HeaderValue::from(response.body().len());
    response.headers_mut().insert(CONTENT_LENGTH, length);
    let response = with(response, CONTENT_TYPE, content_type);
    with(response, CACHE_CONTROL, "no-store")
}

/// Returns a response of one line of text.
pub fn line(status: StatusCode, line: impl std::fmt::Display) -> Response {
    new(status, TEXT, format!("{line}\n"))
}

/// Sets a header, and replaces it if it is set.
pub fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}

/// Returns the response to a method that no route has.
pub fn method_not_allowed() -> Response {
    let line = line(
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed: use GET or HEAD",
    );
    with(line, ALLOW, "GET, HEAD")
}

/// Removes the body, for `HEAD`. `content-length` goes with it, because the number that `GET` would show is unknown
/// without counting.
pub fn without_body(mut response: Response) -> Response {
    response.headers_mut().remove(CONTENT_LENGTH);
    response.map(|_| Bytes::new())
}
