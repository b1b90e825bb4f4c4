//! The limits that HTTP/1 and HTTP/2 set for a client, the same in both as far as possible.
//!
//! The limits of HTTP/2 stop known attacks. tests/host/http2/attacks.rs has a test for each, named after its CVE
//! number:
//! - rapid reset (CVE-2023-44487): [`MAX_RESETS`]
//! - made-you-reset (CVE-2025-8671): [`MAX_ERRORS`]
//! - endless CONTINUATION frames (CVE-2024-27316), headers that decompress to many bytes (CVE-2016-6581) or to empty
//!   ones (CVE-2019-9516): the limit for a decoded head, and h2's limit for CONTINUATION frames
//! - PING and SETTINGS whose replies are left unread (CVE-2019-9512, CVE-2019-9515): h2 keeps one reply, and reads on
//!   after it is sent
//! - empty DATA frames (CVE-2019-9518): h2's limit for them
//! - windows that never open (CVE-2019-9517): [`MAX_SEND_BUFFER`], and [`super::idle::Patience::unread`] for each
//!   stream
//! - endless changes of priority (CVE-2019-9513): h2 ignores priorities
//!
//! Not limited: a client that opens its window byte by byte (CVE-2019-9511) causes much work, and other clients then
//! wait for seconds.

use super::streams::Streams;
use crate::head::MAX_HEADERS;
use crate::limits::Limits;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use std::time::Duration;

/// hyper's smallest buffer. Larger heads get a larger one.
const MIN_BUFFER: usize = 8 << 10;
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Streams on one connection that their client has reset and the server has not accepted yet.
const MAX_RESETS: usize = 20;
/// Streams that were refused or reset because of the client's errors, over the life of one connection. A proxy that
/// does not know [`MAX_STREAMS`] yet may cause this number with its first requests.
const MAX_ERRORS: usize = 100;
/// Bytes of a response that wait for their client, for each stream, in addition to the component's last piece.
const MAX_SEND_BUFFER: usize = 16 << 10;
/// Bytes of request bodies that a client may send before the component has taken them, for one stream and for all
/// streams of a connection.
const STREAM_WINDOW: u32 = 32 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Reads requests and writes responses of both versions.
pub(super) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl Protocol {
    /// Configures both versions with these limits. A client may leave an HTTP/2 response unread for `unread`.
    pub(super) fn new(limits: &Limits, unread: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .max_buf_size(limits.header_size.max(MIN_BUFFER))
            .max_header_size(limits.header_size)
            .max_headers(MAX_HEADERS)
            .keep_alive(true);
        let mut http2 = http2::Builder::new(Streams { unread });
        http2
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_ERRORS)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Self { http1, http2 }
    }

    /// Serves HTTP/1. The caller enforces time limits.
    pub(super) fn http1<I, S>(&self, io: I, service: S) -> http1::Connection<I, S>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
        S: HttpService<Incoming>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::ResBody: Body + 'static,
        <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.http1.serve_connection(io, service)
    }

    /// Serves HTTP/2 to a client that has sent its preface. The caller enforces time limits.
    pub(super) fn http2<I, S, B>(&self, io: I, service: S) -> http2::Connection<I, S, Streams>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
        S: hyper::service::Service<Request<Incoming>, Response = http::Response<B>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: 'static,
        B: Body + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        Streams: Http2ServerConnExec<S::Future, B>,
    {
        self.http2.serve_connection(io, service)
    }
}
