//! A client for HTTP/2 with prior knowledge, which gRPC and proxies use without TLS.

use crate::DEADLINE;
use crate::client::{Reply, RequestBody, empty};
use anyhow::{Context, Result, ensure};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct Http2 {
    sender: SendRequest<RequestBody>,
    /// The task that moves the bytes. It ends when either side closes the connection.
    driver: JoinHandle<()>,
    address: SocketAddr,
}

impl Http2 {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            driver,
            address,
        })
    }

    /// Sends `GET path` and reads the response to its end.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.call(Request::get(path).body(empty())?).await
    }

    /// Sends a request and reads the response to its end. Fails after [`DEADLINE`].
    pub async fn call(&self, request: Request<RequestBody>) -> Result<Reply> {
        let what = format!("{} {} on {}", request.method(), request.uri(), self.address);
        let exchange = async {
            let (head, body) = self.send(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        timeout(DEADLINE, exchange)
            .await
            .with_context(|| format!("{what}: no whole response within {DEADLINE:?}"))?
            .context(what)
    }

    /// Sends a request and returns when the head of the response has arrived. Its URI may be a path alone.
    pub async fn send(&self, mut request: Request<RequestBody>) -> Result<Response<Incoming>> {
        if request.uri().authority().is_none() {
            let uri = Uri::try_from(format!("http://{}{}", self.address, request.uri()))?;
            *request.uri_mut() = uri;
        }
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }

    /// Makes a visit and returns its number.
    pub async fn visit(&self) -> Result<u64> {
        let reply = self.get("/").await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        Ok(reply.text().trim_end().parse()?)
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self, deadline: Duration) -> Result<()> {
        timeout(deadline, &mut self.driver)
            .await
            .with_context(|| format!("the server keeps the connection open after {deadline:?}"))?
            .context("the task of the connection panicked")
    }
}
