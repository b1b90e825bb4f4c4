//! The responses that the server sends: a component's, or the host's own.

use crate::response::ResponseBody;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::{Either, Full};

/// The body of a response: a component's or the host's own.
pub(crate) type Body = Either<ResponseBody, Full<Bytes>>;

/// A response to a client.
pub(crate) type Answer = http::Response<Body>;

/// Returns the answer that has a component's response.
pub(crate) fn of_component(response: http::Response<ResponseBody>) -> Answer {
    response.map(Either::Left)
}

/// Returns the answer that has a response of the host's own.
pub(crate) fn fixed(response: http::Response<Bytes>) -> Answer {
    response.map(|body| Either::Right(Full::new(body)))
}

/// Returns an answer of one line of plain text.
pub(crate) fn line(status: StatusCode, text: &str) -> Answer {
    let mut answer =
        http::Response::new(Either::Right(Full::new(Bytes::from(format!("{text}\n")))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
