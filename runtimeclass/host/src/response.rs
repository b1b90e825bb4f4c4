//! Checks a component's response before and while it is sent.
//!
//! A response that violates HTTP is answered with a 500 if its head is not sent yet, and cut otherwise. Both are logged
//! with the request and the reason. hyper alone would close the connection without a response or a log line.
//!
//! A body whose instance died ends with an error. Otherwise a client could not distinguish a torn response from a
//! complete one unless its head has a length.

use crate::watch::Life;
use bytes::Bytes;
use futures::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Uri, response};
use http_body::{Body, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use wasmtime_wasi_http::handler::Response;
use wasmtime_wasi_http::{Error, WasiBody};

/// How long a response's head waits for the first piece of its body.
const READ_AHEAD: Duration = Duration::from_millis(1);

/// The request that a log line names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    method: Method,
    uri: Uri,
}

impl Named {
    pub(crate) fn new(head: &http::request::Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
        }
    }

    /// Logs that the component's response is invalid.
    pub(crate) fn invalid(&self, error: &str) {
        tracing::warn!(method = %self.method, path = self.uri.path(), error, "the component's response is invalid");
    }

    /// Logs that the request exceeded the time limit.
    pub(crate) fn overdue(&self) {
        tracing::warn!(
            method = %self.method,
            path = self.uri.path(),
            "the request exceeded the time limit (--request-timeout)"
        );
    }
}

/// Checks a response, and waits briefly for the first piece of its body. A component sends the head before the body,
/// and hyper would write each separately. The second write costs as much as the rest of the response.
///
/// # Errors Returns the reason why the response cannot be sent.
pub(crate) async fn checked(
    response: Response,
    life: Arc<Life>,
    request: Named,
) -> Result<http::Response<ResponseBody>, String> {
    let (head, body) = response.into_parts();
    let length = length(&head, &request.method)?;
    let mut body = ResponseBody {
        first: None,
        second: None,
        body,
        life,
        left: length,
        request,
    };
    if let Ok(first) = tokio::time::timeout(READ_AHEAD, body.next()).await {
        if let Some(Err(error)) = first {
            return Err(format!("its body: {error}"));
        }
        // hyper would drop the unsent head if the body ended too early.
        if first.is_some() && body.left.is_some_and(|left| left > 0) {
            match body.next().now_or_never() {
                Some(Some(Err(error))) => return Err(format!("its body: {error}")),
                second => body.second = second.flatten(),
            }
        }
        body.first = Some(first);
    }
    Ok(http::Response::from_parts(head, body))
}

/// Returns the length that the body must have, if the head declares one.
fn length(head: &response::Parts, method: &Method) -> Result<Option<u64>, String> {
    let status = head.status;
    if status.is_informational() {
        return Err(format!("the status {status} is not final"));
    }
    let length = declared(&head.headers)?;
    let bodiless = *method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    Ok(length.filter(|_| !bodiless))
}

fn declared(headers: &HeaderMap) -> Result<Option<u64>, String> {
    let mut declared = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let text = value.to_str().unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let length = text.parse().ok().filter(|_| digits);
        let length: u64 = length.ok_or_else(|| format!("the content-length {value:?}"))?;
        if declared.is_some_and(|other| other != length) {
            return Err("more than one content-length".into());
        }
        declared = Some(length);
    }
    Ok(declared)
}

/// A component's response body, checked while it is sent.
pub(crate) struct ResponseBody {
    /// The piece that was read ahead. The outer `None` means that nothing was read, the inner one the end of the body.
    first: Option<Option<Result<Frame<Bytes>, Error>>>,
    /// The second piece, if it was available at once.
    second: Option<Result<Frame<Bytes>, Error>>,
    body: WasiBody,
    life: Arc<Life>,
    /// Bytes that the head declared and that have not arrived yet.
    left: Option<u64>,
    request: Named,
}

impl ResponseBody {
    /// Subtracts a piece from the declared length.
    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Error> {
        let (Some(left), Some(data)) = (self.left, frame.data_ref()) else {
            return Ok(());
        };
        self.left = left.checked_sub(data.len() as u64);
        match self.left {
            Some(_) => Ok(()),
            None => Err(Error::HttpResponseBodySize(None)),
        }
    }

    /// Returns the next piece that the component sends. The caller logs errors.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        poll_fn(|cx| self.poll_body(cx)).await
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            // The end of the instance is noted before its bodies are closed.
            None if self.life.cause().is_some() => {
                Poll::Ready(Some(Err(Error::HttpResponseIncomplete)))
            }
            None if self.left.is_some_and(|left| left > 0) => {
                Poll::Ready(Some(Err(Error::HttpResponseIncomplete)))
            }
            None => Poll::Ready(None),
            Some(frame) => {
                let counted = frame.and_then(|frame| self.count(&frame).map(|()| frame));
                Poll::Ready(Some(counted))
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(Some(first)) = self.first.take_if(|first| first.is_some()) {
            return Poll::Ready(Some(first));
        }
        if self.first.is_some() {
            return Poll::Ready(None);
        }
        if let Some(second) = self.second.take() {
            return Poll::Ready(Some(second));
        }
        let frame = ready!(self.poll_body(cx));
        // The end of the instance is logged elsewhere.
        if let Some(Err(error)) = &frame
            && self.life.cause().is_none()
        {
            self.request.invalid(&format!("its body: {error}"));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.first {
            Some(first) => first.is_none(),
            None => {
                let whole = self.left.is_none_or(|left| left == 0) && self.second.is_none();
                whole && self.life.cause().is_none() && self.body.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, |data| data.len() as u64);
        let ahead = self.first.iter().flatten().chain(&self.second);
        let first: u64 = ahead.flatten().map(length).sum();
        let rest = self.body.size_hint();
        let mut whole = SizeHint::new();
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper.saturating_add(first));
        }
        whole.set_lower(rest.lower().saturating_add(first));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody};

    async fn answered(status: u16, lengths: &[&str], body: &'static str) -> Result<String, String> {
        let mut response = http::Response::builder().status(status);
        for length in lengths {
            response = response.header(CONTENT_LENGTH, *length);
        }
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::get("/").body(()).expect("a request");
        let named = Named::new(&request.into_parts().0);
        let life = Arc::new(Life::new(Duration::ZERO));
        let response = response.body(body).expect("a response");
        let answer = checked(response, life, named).await?;
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| format!("late: {error}"))?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn an_invalid_response_is_an_error_before_the_head_is_sent() {
        for (status, lengths, says) in [
            (200, &["5"] as &[&str], "body"),
            (200, &["20"], "body"),
            (200, &["ten"], "\"ten\""),
            (200, &["+10"], "\"+10\""),
            (200, &["10", "11"], "more than one"),
            (101, &[], "101"),
            (103, &["10"], "103"),
        ] {
            let answered = answered(status, lengths, "ten bytes.").await;
            let error = answered.expect_err("it must be refused");
            assert!(error.contains(says), "{status} {lengths:?}: {error}");
        }
        for lengths in [&[] as &[&str], &["10"], &["10", "10"]] {
            let answered = answered(200, lengths, "ten bytes.").await;
            assert_eq!(answered.as_deref(), Ok("ten bytes."));
        }
    }

    #[tokio::test]
    async fn a_head_without_a_body_may_have_any_length() {
        for status in [204, 304] {
            let answered = answered(status, &["10"], "").await;
            assert_eq!(answered.as_deref(), Ok(""));
        }
    }

    /// Checks a response of two pieces with one byte more than its declared length.
    async fn checked_too_long(pause: Duration) -> Result<http::Response<ResponseBody>, String> {
        let pieces = futures::stream::iter(["five.", "six..."]);
        let pieces = futures::StreamExt::then(pieces, move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let response = http::Response::builder()
            .header(CONTENT_LENGTH, 10)
            .body(StreamBody::new(pieces).boxed_unsync())
            .expect("a response");
        let request = http::Request::get("/").body(()).expect("a request");
        let named = Named::new(&request.into_parts().0);
        checked(response, Arc::new(Life::new(Duration::ZERO)), named).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_length_that_is_exceeded_at_once_is_an_error_before_the_head_is_sent() {
        let error = checked_too_long(Duration::ZERO).await;
        let error = error.err().expect("it must be refused");
        assert!(error.starts_with("its body: "), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_length_that_is_exceeded_late_is_an_error_of_the_body() {
        let answer = checked_too_long(2 * READ_AHEAD).await;
        let body = answer.expect("the head is sent first").into_body();
        let error = body.collect().await.expect_err("one byte too many");
        let too_long = matches!(error, Error::HttpResponseBodySize(None));
        assert!(too_long, "{error:?}");
    }
}
