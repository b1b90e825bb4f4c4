//! What HTTP/1 and HTTP/2 allow a client: sizes and numbers, the same in both as far as they can be.
//!
//! The limits of HTTP/2 answer known attacks. Each has a test in tests/host/http2/attacks.rs that ends with its number:
//! - rapid reset (CVE-2023-44487): [`MAX_RESETS`]
//! - made-you-reset (CVE-2025-8671): [`MAX_ERRORS`]
//! - CONTINUATION frames without end (CVE-2024-27316), headers that unpack to much (CVE-2016-6581) or to nothing
//!   (CVE-2019-9516): the size of a decoded head, and h2's number of CONTINUATION frames
//! - PING and SETTINGS whose answers are not read (CVE-2019-9512, CVE-2019-9515): h2 keeps one answer, and reads on when
//!   it is sent
//! - empty DATA frames (CVE-2019-9518): h2's number of them
//! - windows that never open (CVE-2019-9517): [`MAX_SEND_BUFFER`], and [`super::idle::Patience::unread`] for each stream
//! - priorities that change for ever (CVE-2019-9513): h2 ignores them
//!
//! Not bounded: windows that open byte by byte (CVE-2019-9511) make much work, and others then wait for seconds.

use super::streams::Streams;
use crate::head::MAX_HEADERS;
use crate::settings::Limits;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use std::time::Duration;

/// hyper's smallest buffer; larger heads get a larger one.
const MIN_BUFFER: usize = 8 << 10;
/// Requests at once on one connection of HTTP/2.
const MAX_STREAMS: u32 = 100;
/// Streams that their client has reset before they were served, on one connection at once.
const MAX_RESETS: usize = 20;
/// Streams that were refused or reset because of their client's errors, in the life of one connection. A proxy that
/// does not know [`MAX_STREAMS`] yet may cause as many with its first requests.
const MAX_ERRORS: usize = 100;
/// Bytes of a response that wait for their client, for each stream, beside the component's last piece.
const MAX_SEND_BUFFER: usize = 16 << 10;
/// Bytes of a request's body that its client may send before the component has taken them: of a stream, and of all of a
/// connection's.
const STREAM_WINDOW: u32 = 32 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// How requests and responses are read and written.
pub(super) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl Protocol {
    /// Returns both, with these limits. A client may leave a response of HTTP/2 unread for `unread`.
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

    /// Serves HTTP/1. Time limits are the caller's.
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

    /// Serves HTTP/2 to a client that has sent its preface. Time limits are the caller's.
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
