//! HTTP/1.1 clients for the tests: a keep-alive connection, one-shot requests, and raw TCP for invalid requests.

use crate::DEADLINE;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The body of a request, which may be a stream.
pub type RequestBody = UnsyncBoxBody<Bytes, anyhow::Error>;

/// A response with its whole body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Returns the body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(not UTF-8)")
    }

    /// Returns a header as text, or an empty text if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

/// A keep-alive connection. Every request on it fails after [`DEADLINE`].
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<RequestBody>,
    /// The task that moves the bytes. It ends when either side closes the connection.
    driver: JoinHandle<()>,
    address: SocketAddr,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            driver,
            address,
        })
    }

    /// Sends `GET path` and reads the response to its end.
    pub async fn get(&mut self, path: &str) -> Result<Reply> {
        self.call(Request::get(path).body(empty())?).await
    }

    /// Sends a request and reads the response to its end. Adds a missing `host` header.
    pub async fn call(&mut self, request: Request<RequestBody>) -> Result<Reply> {
        let what = format!("{} {} on {}", request.method(), request.uri(), self.address);
        let exchange = async {
            let (head, body) = self.send(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        let reply: Result<Result<Reply>, _> = timeout(DEADLINE, exchange).await;
        reply
            .with_context(|| format!("{what}: no whole response within {DEADLINE:?}"))?
            .context(what)
    }

    /// Sends a request and returns when the head of the response has arrived.
    pub async fn send(&mut self, mut request: Request<RequestBody>) -> Result<Response<Incoming>> {
        let host = http::HeaderValue::try_from(self.address.to_string())?;
        request
            .headers_mut()
            .entry(http::header::HOST)
            .or_insert(host);
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self, deadline: Duration) -> Result<()> {
        timeout(deadline, &mut self.driver)
            .await
            .with_context(|| format!("the server keeps the connection open after {deadline:?}"))?
            .context("the task of the connection panicked")
    }
}

/// Sends `GET path` on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Result<Reply> {
    Connection::open(address).await?.get(path).await
}

/// Returns an empty body.
pub fn empty() -> RequestBody {
    full(Bytes::new())
}

/// Returns a body with these bytes.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    stream(Full::new(bytes.into()))
}

/// Returns a body that is a stream.
pub fn stream<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<anyhow::Error>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A TCP connection on which a test writes and reads any bytes.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Writes these bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref()).await?)
    }

    /// Ends the client's half of the connection. The server can still write.
    pub async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads until `wanted` appears and returns everything read.
    pub async fn read_until(&mut self, wanted: &str) -> Result<String> {
        let mut read = Vec::new();
        let search = async {
            while !String::from_utf8_lossy(&read).contains(wanted) {
                if self.stream.read_buf(&mut read).await? == 0 {
                    anyhow::bail!("the server closed the connection");
                }
            }
            Ok(())
        };
        let found = timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it did not arrive within {DEADLINE:?}")));
        let read = String::from_utf8_lossy(&read).into_owned();
        found.with_context(|| format!("cannot read {wanted:?} after {read:?}"))?;
        Ok(read)
    }

    /// Reads until the server closes or resets the connection and returns everything read.
    pub async fn read_to_end(&mut self, deadline: Duration) -> Result<String> {
        let mut read = Vec::new();
        timeout(deadline, self.stream.read_to_end(&mut read))
            .await
            .with_context(|| format!("the server keeps the connection open after {deadline:?}"))?
            .ok();
        Ok(String::from_utf8_lossy(&read).into_owned())
    }
}
