//! A component's response, checked before and while it is sent.
//!
//! What HTTP forbids is answered with a 500 while the head is not out, and cut afterwards; either way the log says which
//! request it was and why. Left to hyper it would be a connection that closes without a word.
//!
//! A body whose instance died is an error and not an end: without a length in its head the client could not tell a torn
//! response from a whole one.

use crate::answer::Answer;
use crate::watch::Life;
use bytes::Bytes;
use futures::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Uri, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use wasmtime_wasi_http::handler::Response;
use wasmtime_wasi_http::{Error, WasiBody};

/// How long a response's head waits for the first piece of its body.
const READ_AHEAD: Duration = Duration::from_millis(1);

/// A request, as the log names it.
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

    /// Logs what is wrong with the component's response.
    pub(crate) fn invalid(&self, error: &str) {
        tracing::warn!(method = %self.method, path = self.uri.path(), error, "invalid response of the component");
    }

    /// Logs that the request took too long.
    pub(crate) fn overdue(&self) {
        tracing::warn!(
            method = %self.method,
            path = self.uri.path(),
            "a request took longer than the time limit (--request-timeout)"
        );
    }
}

/// Checks a response, and waits a moment for the first piece of its body. A component sends the head before the body;
/// hyper would write each to the socket by itself, and the second write costs as much as the rest of the response.
///
/// # Errors
/// Returns why the response cannot be sent.
pub(crate) async fn checked(
    response: Response,
    life: Arc<Life>,
    request: Named,
) -> Result<Answer, String> {
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
        // Left to hyper, a body that ends too early would take its unsent head with it.
        if first.is_some() && body.left.is_some_and(|left| left > 0) {
            match body.next().now_or_never() {
                Some(Some(Err(error))) => return Err(format!("its body: {error}")),
                second => body.second = second.flatten(),
            }
        }
        body.first = Some(first);
    }
    Ok(Answer::from_parts(head, Either::Left(body)))
}

/// Returns how long the body must be, if the head says so.
fn length(head: &response::Parts, method: &Method) -> Result<Option<u64>, String> {
    let status = head.status;
    if status.is_informational() {
        return Err(format!("the status {status} is not a final one"));
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

/// A component's response body.
pub(crate) struct ResponseBody {
    /// Read ahead: the outer `None` is nothing read, the inner one the end.
    first: Option<Option<Result<Frame<Bytes>, Error>>>,
    /// What came at once after it.
    second: Option<Result<Frame<Bytes>, Error>>,
    body: WasiBody,
    life: Arc<Life>,
    /// Bytes that the head has promised and that have yet to come.
    left: Option<u64>,
    request: Named,
}

impl ResponseBody {
    /// Takes a piece off what was promised.
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

    /// Returns the next piece of what the component sends; its errors are the caller's to log.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        poll_fn(|cx| self.poll_body(cx)).await
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            // The instance's end closes its bodies and is noted before that.
            None if self.life.death().is_some() => {
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
        // A death is in the log by itself.
        if let Some(Err(error)) = &frame
            && self.life.death().is_none()
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
                whole && self.life.death().is_none() && self.body.is_end_stream()
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
    async fn what_http_forbids_is_an_error_before_the_head_is_sent() {
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

    #[tokio::test]
    async fn a_length_that_is_exceeded_late_is_an_error_of_the_body() {
        let pieces = futures::stream::iter(["five.", "six..."]);
        let pieces = futures::StreamExt::map(pieces, |piece| {
            Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let response = http::Response::builder()
            .header(CONTENT_LENGTH, 10)
            .body(StreamBody::new(pieces).boxed_unsync())
            .expect("a response");
        let request = http::Request::get("/").body(()).expect("a request");
        let named = Named::new(&request.into_parts().0);
        let life = Arc::new(Life::new(Duration::ZERO));
        // It depends on how much comes at once whether the head is out already.
        if let Ok(answer) = checked(response, life, named).await {
            assert!(answer.into_body().collect().await.is_err());
        }
    }
}
