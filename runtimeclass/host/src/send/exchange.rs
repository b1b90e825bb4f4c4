//! One outbound request and its response, over a connection of its own.
//!
//! Every wait has a limit below that of the request that the component answers, so that the component hears of it in
//! time to answer. wasmtime's own sender has limits of 600 s, and trusts no authorities but those it was built with.

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

/// The part of a request's time that opening a connection may take, the handshake of TLS in it.
const CONNECTING: u32 = 3;
/// The part of a request's time that any single wait may take.
const WAITING: f64 = 0.9;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// When what a request waits for outside is to end.
pub(super) struct Told {
    request: Option<Arc<Progress>>,
    /// For what no request waits for.
    fixed: Instant,
}

impl Told {
    pub(super) fn new(request: Option<Arc<Progress>>, limit: Duration) -> Self {
        let now = Instant::now();
        let fixed = now.checked_add(limit.mul_f64(WAITING)).unwrap_or(now);
        Self { request, fixed }
    }

    /// Returns when the head of the response must be there.
    fn head_at(&self) -> Instant {
        self.body_at().unwrap_or(self.fixed)
    }

    /// Returns when the body must have ended; `None` if it may go on, for the component's own response has begun.
    fn body_at(&self) -> Option<Instant> {
        Some(self.request.as_ref()?.told_at()?.into())
    }

    /// Waits for `work` until it is to end, which may be put off meanwhile.
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

/// What an exchange needs to know.
pub(super) struct Exchange {
    pub(super) trust: Arc<Trust>,
    pub(super) told: Told,
    pub(super) limit: Duration,
    pub(super) options: RequestOptions,
}

impl Exchange {
    /// Sends the request, and returns the response with what drives the connection until its body has ended.
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
        let stream = self.told.limit(stream, || Error::ConnectionTimeout).await?;
        let stream = stream.map_err(|_| Error::ConnectionTimeout)??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        *request.uri_mut() = origin_form(request.uri());
        let mut connection = Box::pin(connection);
        let response = timeout(
            first_byte,
            answered(sender.send_request(request), connection.as_mut()),
        );
        let response = self
            .told
            .limit(response, || Error::ConnectionReadTimeout)
            .await?;
        let response = response.map_err(|_| Error::ConnectionReadTimeout)??;
        let body = |incoming| ResponseBody {
            incoming,
            between_bytes,
            silence: Box::pin(sleep(between_bytes)),
            told_timer: Box::pin(sleep_until(self.told.head_at())),
            told: self.told,
        };
        let response = response.map(|incoming| body(incoming).boxed_unsync());
        let driver = async move { connection.await.map_err(Error::from) };
        Ok((response, Box::new(driver)))
    }
}

/// Drives the connection until the response's head is there.
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
    // Of an IPv6 address without its brackets, as a name's resolution and a certificate have it.
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(Error::Connect)?;
    // A head and a body are two writes.
    let _ = stream.set_nodelay(true);
    match tls {
        false => Ok(Box::new(stream)),
        true => Ok(Box::new(
            trust.connect(host, stream).await.map_err(Error::Tls)?,
        )),
    }
}

/// Returns the URI as a server gets it that is no proxy. It has a path, though that of the component's may be empty.
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    PathAndQuery::try_from(path).map_or_else(|_| Uri::from_static("/"), Uri::from)
}

/// A response's body, with its limits.
struct ResponseBody {
    incoming: Incoming,
    between_bytes: Duration,
    silence: Pin<Box<Sleep>>,
    told: Told,
    told_timer: Pin<Box<Sleep>>,
}

impl ResponseBody {
    /// Waits until the request that waits for this body is to be told.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.told_timer.as_mut().poll(cx));
            match self.told.body_at() {
                // Answered: only silence ends it now.
                None => return Poll::Pending,
                Some(at) if at <= Instant::now() => return Poll::Ready(()),
                Some(at) => self.told_timer.as_mut().reset(at),
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
        ready!(this.poll_told(cx));
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
    fn a_server_is_asked_for_a_path() {
        for (uri, asked) in [
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a?b=c", "/?b=c"),
            ("http://a/b?c", "/b?c"),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(origin_form(&uri).to_string(), asked, "{uri}");
        }
    }
}
