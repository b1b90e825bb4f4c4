//! The responses the server sends: a component's, or one plain line of the host's own.

use crate::response::ResponseBody;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::{Either, Full};

/// A component's body or the host's own.
pub(crate) type Body = Either<ResponseBody, Full<Bytes>>;

/// A response.
pub(crate) type Answer = http::Response<Body>;

/// A response of the host's own, as it is.
pub(crate) fn fixed(response: http::Response<Bytes>) -> Answer {
    response.map(|body| Either::Right(Full::new(body)))
}

/// One plain line.
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
