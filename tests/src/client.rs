//! HTTP/1.1 clients for the tests: one keep-alive connection, one-shot requests, and raw TCP for what no decent
//! client would send.

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

/// The body of a request: anything that streams bytes.
pub type RequestBody = UnsyncBoxBody<Bytes, anyhow::Error>;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, read to the end.
    pub body: Bytes,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(not UTF-8)")
    }

    /// A header as text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

/// One keep-alive connection. Every request on it has [`DEADLINE`] to be answered.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<RequestBody>,
    /// The task that moves the bytes; it ends when the connection is closed by either side.
    driver: JoinHandle<()>,
    address: SocketAddr,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            driver,
            address,
        })
    }

    /// `GET path`, the response read to its end.
    pub async fn get(&mut self, path: &str) -> Result<Reply> {
        self.call(Request::get(path).body(empty())?).await
    }

    /// Sends any request and reads the response to its end. A missing `host` header is added.
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
            .with_context(|| format!("{what}: no whole answer within {DEADLINE:?}"))?
            .context(what)
    }

    /// Sends any request and returns when the response's head is there, its body yet to be read.
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
            .context("the connection's task")
    }
}

/// `GET path` on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Result<Reply> {
    Connection::open(address).await?.get(path).await
}

/// No body.
pub fn empty() -> RequestBody {
    full(Bytes::new())
}

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    stream(Full::new(bytes.into()))
}

/// Any body.
pub fn stream<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<anyhow::Error>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A TCP connection on which a test writes and reads bytes as it likes.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Writes all of this.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref()).await?)
    }

    /// Reads until `wanted` appears, and returns everything read.
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
            .unwrap_or_else(|_| Err(anyhow::anyhow!("not within {DEADLINE:?}")));
        let read = String::from_utf8_lossy(&read).into_owned();
        found.with_context(|| format!("wait for {wanted:?} after {read:?}"))?;
        Ok(read)
    }

    /// Reads until the server closes the connection, and returns everything read. A reset is an end too.
    pub async fn read_to_end(&mut self, deadline: Duration) -> Result<String> {
        let mut read = Vec::new();
        timeout(deadline, self.stream.read_to_end(&mut read))
            .await
            .with_context(|| format!("the server keeps the connection open after {deadline:?}"))?
            .ok();
        Ok(String::from_utf8_lossy(&read).into_owned())
    }
}
