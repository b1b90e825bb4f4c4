//! One outbound request and its response, over its own connection.
//!
//! Every wait ends before the time of the request that the component handles, so that the component can still answer it
//! after an error. wasmtime's own sender waits up to 600 s, and trusts only built-in certificate authorities.

use crate::trust::Trust;
use crate::watch::Progress;
use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// Opening a connection, including the TLS handshake, may take this fraction (1/3) of a request's time.
const CONNECTING: u32 = 3;
/// Any single wait may take this part of a request's time.
const WAITING: f64 = 0.9;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The deadline for waits on behalf of a request.
pub(super) struct Deadline {
    request: Option<Arc<Progress>>,
    /// The deadline if the request is unknown.
    fixed: Instant,
}

impl Deadline {
    pub(super) fn new(request: Option<Arc<Progress>>, limit: Duration) -> Self {
        let now = Instant::now();
        let fixed = now.checked_add(limit.mul_f64(WAITING)).unwrap_or(now);
        Self { request, fixed }
    }

    /// Returns the deadline for the response's head.
    fn head_at(&self) -> Instant {
        self.body_at().unwrap_or(self.fixed)
    }

    /// Returns the deadline for the response's body. Returns `None` if it has none, because the component has begun its
    /// own response.
    fn body_at(&self) -> Option<Instant> {
        Some(self.request.as_ref()?.outbound_deadline()?.into())
    }

    /// Waits for `work` until the deadline, which may move while it waits.
    async fn limit<F: Future>(&self, work: F, error: fn() -> Error) -> Result<F::Output, Error> {
        let mut work = pin!(work);
        loop {
            match timeout_at(self.head_at(), work.as_mut()).await {
                Ok(output) => return Ok(output),
                Err(_) if self.head_at() <= Instant::now() => return Err(error()),
                Err(_) => {}
            }
        }
    }
}

/// One outbound request's options and limits.
pub(super) struct Exchange {
    pub(super) trust: Arc<Trust>,
    pub(super) deadline: Deadline,
    pub(super) limit: Duration,
    pub(super) options: RequestOptions,
}

impl Exchange {
    /// Sends the request. Returns the response and a future that drives the connection until the body has ended.
    pub(super) async fn run(
        self,
        mut request: Request<WasiBody>,
    ) -> Result<super::Response, Error> {
        let waiting = self.limit.mul_f64(WAITING);
        let at_most =
            |asked: Option<Duration>, most: Duration| asked.map_or(most, |it| it.min(most));
        let connecting = at_most(self.options.connect_timeout, self.limit / CONNECTING);
        let first_byte = at_most(self.options.first_byte_timeout, waiting);
        let between_bytes = at_most(self.options.between_bytes_timeout, waiting);
        let stream = timeout(connecting, connect(request.uri(), &self.trust));
        let stream = self
            .deadline
            .limit(stream, || Error::ConnectionTimeout)
            .await?;
        let stream = stream.map_err(|_| Error::ConnectionTimeout)??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        *request.uri_mut() = origin_form(request.uri());
        let mut connection = Box::pin(connection);
        let response = timeout(
            first_byte,
            answered(sender.send_request(request), connection.as_mut()),
        );
        let response = self
            .deadline
            .limit(response, || Error::ConnectionReadTimeout)
            .await?;
        let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
        let body = |incoming| ResponseBody {
            incoming,
            between_bytes,
            silence: Box::pin(sleep(between_bytes)),
            deadline_timer: Box::pin(sleep_until(self.deadline.head_at())),
            deadline: self.deadline,
        };
        let response = response.map(|incoming| body(incoming).boxed_unsync());
        let driver = async move { connection.await.map_err(Error::from) };
        Ok((response, Box::new(driver)))
    }
}

/// Drives the connection until the response's head has arrived.
async fn answered<S: Stream + 'static>(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    mut connection: Pin<&mut http1::Connection<TokioIo<S>, WasiBody>>,
) -> Result<Response<Incoming>, Error> {
    let mut response = pin!(response);
    let mut open = true;
    poll_fn(|cx| {
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            return Poll::Ready(response.map_err(Error::from));
        }
        if open && connection.as_mut().poll(cx)?.is_ready() {
            open = false;
            return response.as_mut().poll(cx).map_err(Error::from);
        }
        Poll::Pending
    })
    .await
}

async fn connect(uri: &Uri, trust: &Trust) -> Result<Box<dyn Stream>, Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    // Without the brackets of an IPv6 address, as name resolution and certificates expect it.
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(Error::Connect)?;
    // Without it the second write of a head and a body would wait for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    match tls {
        false => Ok(Box::new(stream)),
        true => Ok(Box::new(
            trust.connect(host, stream).await.map_err(Error::Tls)?,
        )),
    }
}

/// Returns the URI in the form that origin servers expect. The path may be empty in `uri`, but never in the result.
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    PathAndQuery::try_from(path).map_or_else(|_| Uri::from_static("/"), Uri::from)
}

/// A response's body with its time limits.
struct ResponseBody {
    incoming: Incoming,
    between_bytes: Duration,
    silence: Pin<Box<Sleep>>,
    deadline: Deadline,
    deadline_timer: Pin<Box<Sleep>>,
}

impl ResponseBody {
    /// Waits until the body's deadline.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.deadline_timer.as_mut().poll(cx));
            match self.deadline.body_at() {
                // The component has begun its own response, so only the limit between two pieces applies.
                None => return Poll::Pending,
                Some(at) if at <= Instant::now() => return Poll::Ready(()),
                Some(at) => self.deadline_timer.as_mut().reset(at),
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
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.silence
                .as_mut()
                .reset(Instant::now() + this.between_bytes);
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        if this.silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        }
        ready!(this.poll_deadline(cx));
        Poll::Ready(Some(Err(Error::HttpResponseTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_a_server_has_a_path() {
        for (uri, sent) in [
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a?b=c", "/?b=c"),
            ("http://a/b?c", "/b?c"),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(origin_form(&uri).to_string(), sent, "{uri}");
        }
    }
}
