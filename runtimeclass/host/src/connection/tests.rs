//! Clients that leave responses unread, and the ends of connections. Both run in memory, with a clock that advances
//! only while every task waits.

mod http2;

use super::*;
use crate::answer::Body;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LENGTH: usize = 1 << 20;
/// Bytes that a connection buffers until the client reads them.
const IN_FLIGHT: usize = 64 << 10;

/// Opens a connection, and returns the client's end of it.
fn open<F>(
    connections: &mut Connections,
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> DuplexStream
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (ours, theirs) = duplex(IN_FLIGHT);
    let permit = connections.permits.clone().try_acquire_owned();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    connections.serve(ours, peer, permit.expect("a free permit"), answer);
    theirs
}

fn response(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Body::Right(Full::new(body.into())))
}

/// Returns a server with one connection, on which a request for [`LENGTH`] bytes was sent, and the client's end of it.
async fn requested() -> (Connections, DuplexStream) {
    let mut connections = Connections::new(&Limits::default());
    let mut theirs = open(&mut connections, |_| async { response(vec![7; LENGTH]) });
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    theirs.write_all(request).await.expect("a connection");
    (connections, theirs)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_response_is_dropped() {
    let (mut connections, mut client) = requested().await;
    let started = Instant::now();
    let task = tokio::time::timeout(2 * WRITE_STALL, connections.tasks.join_next()).await;
    assert!(task.is_ok(), "the connection is still open");
    assert_eq!(started.elapsed().as_secs(), WRITE_STALL.as_secs());
    assert_eq!(connections.requests(), 0);
    assert_eq!(
        connections.permits.available_permits(),
        Limits::default().max_connections()
    );
    let mut received = Vec::new();
    let _ = client.read_to_end(&mut received).await;
    assert!(
        received.len() < LENGTH,
        "the client received the whole response"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_its_whole_response() {
    let (_connections, mut client) = requested().await;
    let mut received = 0;
    let mut piece = vec![0; IN_FLIGHT];
    loop {
        tokio::time::sleep(WRITE_STALL - Duration::from_secs(1)).await;
        match client.read(&mut piece).await.expect("a connection") {
            0 => break,
            length => received += length,
        }
    }
    assert!(received > LENGTH, "{received} bytes");
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Returns a server with one connection, on which one request was answered, and the client's end of it.
async fn answered() -> (Connections, DuplexStream) {
    let mut connections = Connections::new(&Limits::default());
    let mut theirs = open(&mut connections, |_| async { response("answer") });
    let head = exchange(&mut theirs).await;
    assert!(!head.contains("connection:"), "{head}");
    (connections, theirs)
}

/// Sends a request and returns its response.
async fn exchange(client: &mut DuplexStream) -> String {
    client.write_all(REQUEST).await.expect("a connection");
    read_response(client).await
}

/// Reads one of the responses whose body is `answer`.
async fn read_response(client: &mut DuplexStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"answer") {
        assert!(client.read_buf(&mut read).await.expect("a connection") > 0);
    }
    String::from_utf8(read).expect("text")
}

#[tokio::test(start_paused = true)]
async fn a_request_during_the_drain_is_answered_with_connection_close() {
    let (connections, mut client) = answered().await;
    let started = Instant::now();
    let (head, ()) = futures::join!(exchange(&mut client), connections.finish());
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    assert!(started.elapsed() < LINGER, "the connection stayed open");
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_kept_for_the_linger_time_during_the_drain() {
    let (connections, mut client) = answered().await;
    let started = Instant::now();
    connections.finish().await;
    assert_eq!(started.elapsed().as_secs(), LINGER.as_secs());
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_has_the_idle_limit_and_one_that_began_a_head_the_head_limit() {
    let limits = Limits::default();
    assert!(limits.idle_timeout > limits.header_timeout);
    for (sent, limit) in [
        ("", limits.idle_timeout),
        ("GET / HTTP/1.1\r\nhos", limits.header_timeout),
    ] {
        let (connections, mut client) = answered().await;
        // The timer of an idle connection must not delay the one for a head.
        tokio::time::advance(Duration::from_secs(60)).await;
        client.write_all(sent.as_bytes()).await.expect("an end");
        let started = Instant::now();
        assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
        let passed = match sent {
            "" => Duration::from_secs(60),
            _ => Duration::ZERO,
        };
        assert_eq!((started.elapsed() + passed).as_secs(), limit.as_secs());
        drop(connections);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickling_head_does_not_extend_the_head_limit() {
    let (_connections, mut client) = answered().await;
    let limit = Limits::default().header_timeout;
    let started = Instant::now();
    while client.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < 2 * limit, "it is still open");
    }
    // The client notices the end when it writes again.
    let noticed = limit..=limit + Duration::from_secs(1);
    let elapsed = started.elapsed();
    assert!(noticed.contains(&elapsed), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_has_the_head_limit() {
    let (connections, mut client) = full().await;
    let started = Instant::now();
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    let limit = Limits::default().header_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());
    drop(connections);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_head_delays_the_drain_no_longer_than_an_idle_client() {
    let (connections, mut client) = answered().await;
    let head = client.write_all(b"GET / HTTP/1.1\r\nhos").await;
    head.expect("a connection");
    let started = Instant::now();
    connections.finish().await;
    assert_eq!(started.elapsed().as_secs(), LINGER.as_secs());
}

/// Returns a server with its only connection, which is idle, and the client's end of it.
async fn full() -> (Connections, DuplexStream) {
    let limits = Limits {
        connections: Some(1),
        ..Limits::default()
    };
    let mut connections = Connections::new(&limits);
    let theirs = open(&mut connections, |_| async { response("answer") });
    tokio::task::yield_now().await;
    (connections, theirs)
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_partial_heads_make_room() {
    for sent in ["", "GET / HTTP/1.1\r\nhos"] {
        let (connections, mut client) = full().await;
        client.write_all(sent.as_bytes()).await.expect("an end");
        tokio::task::yield_now().await;
        let started = Instant::now();
        drop(connections.room().await);
        // tokio's timers have a resolution of 1 ms.
        let closed = idle::MIN_IDLE..=idle::MIN_IDLE + Duration::from_millis(1);
        let elapsed = started.elapsed();
        assert!(closed.contains(&elapsed), "{elapsed:?}");
        let (connections, mut client) = full().await;
        tokio::time::advance(idle::MIN_IDLE).await;
        client.write_all(sent.as_bytes()).await.expect("an end");
        let started = Instant::now();
        drop(connections.room().await);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_arrived_is_answered_before_its_connection_makes_room() {
    let (connections, mut client) = full().await;
    tokio::time::advance(idle::MIN_IDLE).await;
    // The server has not read it yet when it looks for room.
    client.write_all(REQUEST).await.expect("a connection");
    drop(connections.room().await);
    let mut read = String::new();
    client.read_to_string(&mut read).await.expect("an end");
    assert!(read.ends_with("answer"), "{read}");
    assert!(read.contains("\r\nconnection: close\r\n"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn an_unread_response_is_not_dropped_to_make_room() {
    let (connections, mut client) = requested().await;
    let started = Instant::now();
    // Only the connection that is served can make room.
    let all = connections.permits.clone();
    let others = all.try_acquire_many(u32::try_from(all.available_permits()).expect("few"));
    drop(connections.room().await);
    assert_eq!(started.elapsed().as_secs(), WRITE_STALL.as_secs());
    drop(others);
    let mut received = Vec::new();
    let _ = client.read_to_end(&mut received).await;
    assert!(!received.is_empty());
}

#[test]
fn a_waiting_client_closes_one_connection() {
    let closing = Closing::default();
    assert!(!closing.this_one());
    closing.next.store(true, Ordering::Relaxed);
    assert!(closing.this_one() && !closing.this_one());
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_that_was_answered_early_is_not_a_head() {
    let mut connections = Connections::new(&Limits::default());
    let mut client = open(&mut connections, |request| {
        tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
        async { response("answer") }
    });
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head).await.expect("a connection");
    read_response(&mut client).await;
    client.write_all(b"body").await.expect("a connection");
    let started = Instant::now();
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    let limit = Limits::default().idle_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());
}
