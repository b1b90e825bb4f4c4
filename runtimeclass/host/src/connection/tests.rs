//! Clients that do not read, and the end of connections, in memory and with a clock that runs only while everybody
//! waits.

mod http2;

use super::*;
use crate::answer::Body;
use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LENGTH: usize = 1 << 20;
/// What the connection holds that the client has not read yet.
const IN_FLIGHT: usize = 64 << 10;

/// A server with one connection, on which a request for [`LENGTH`] bytes has been sent, and the client's end of it.
async fn requested() -> (Connections, DuplexStream) {
    let mut connections = Connections::new(&Limits::default());
    let (ours, mut theirs) = duplex(IN_FLIGHT);
    let permit = connections.permits.clone().try_acquire_owned();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    connections.serve(ours, peer, permit.expect("a free permit"), |_| async {
        let body = Full::new(Bytes::from(vec![7; LENGTH]));
        http::Response::new(Body::Right(body))
    });
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    theirs.write_all(request).await.expect("a connection");
    (connections, theirs)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_response_is_dropped() {
    let (mut connections, mut client) = requested().await;
    let started = Instant::now();
    let task = tokio::time::timeout(2 * WRITE_STALL, connections.tasks.join_next()).await;
    assert!(task.is_ok(), "the connection is still there");
    assert_eq!(started.elapsed().as_secs(), WRITE_STALL.as_secs());
    assert_eq!(connections.requests(), 0);
    assert_eq!(
        connections.permits.available_permits(),
        Limits::default().connections
    );
    let mut received = Vec::new();
    let _ = client.read_to_end(&mut received).await;
    assert!(received.len() < LENGTH, "it has got all of it");
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

/// A server with one connection, on which one request was answered, and the client's end of it.
async fn answered() -> (Connections, DuplexStream) {
    let mut connections = Connections::new(&Limits::default());
    let (ours, mut theirs) = duplex(IN_FLIGHT);
    let permit = connections.permits.clone().try_acquire_owned();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    connections.serve(ours, peer, permit.expect("a free permit"), |_| async {
        http::Response::new(Body::Right(Full::new(Bytes::from_static(b"answer"))))
    });
    let head = exchange(&mut theirs).await;
    assert!(!head.contains("connection:"), "{head}");
    (connections, theirs)
}

/// Sends a request and reads its answer.
async fn exchange(client: &mut DuplexStream) -> String {
    client.write_all(REQUEST).await.expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(b"answer") {
        assert!(client.read_buf(&mut read).await.expect("a connection") > 0);
    }
    String::from_utf8(read).expect("text")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_while_the_server_drains_is_answered_and_told_to_close() {
    let (connections, mut client) = answered().await;
    let started = Instant::now();
    let (head, ()) = futures::join!(exchange(&mut client), connections.finish());
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    assert!(started.elapsed() < LINGER, "it was kept open");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_no_more_is_waited_for_a_while() {
    let (connections, mut client) = answered().await;
    let started = Instant::now();
    connections.finish().await;
    assert_eq!(started.elapsed().as_secs(), LINGER.as_secs());
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_has_its_own_limit_and_one_that_has_begun_a_head_that_of_heads() {
    let limits = Limits::default();
    assert!(limits.idle_timeout > limits.header_timeout);
    for (sent, limit) in [
        ("", limits.idle_timeout),
        ("GET / HTTP/1.1\r\nhos", limits.header_timeout),
    ] {
        let (connections, mut client) = answered().await;
        // The timer that is set for an idle connection must not delay the one for a head.
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
async fn a_head_that_trickles_is_cut_however_often_it_goes_on() {
    let (_connections, mut client) = answered().await;
    let started = Instant::now();
    while client.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < Duration::from_secs(30), "it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_at_all_has_the_time_of_a_head() {
    let (connections, mut client) = full().await;
    let started = Instant::now();
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    let limit = Limits::default().header_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());
    drop(connections);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_holds_up_the_drain_no_longer_than_an_idle_client() {
    let (connections, mut client) = answered().await;
    let head = client.write_all(b"GET / HTTP/1.1\r\nhos").await;
    head.expect("a connection");
    let started = Instant::now();
    connections.finish().await;
    assert_eq!(started.elapsed().as_secs(), LINGER.as_secs());
}

/// A server for one connection, and the client's end of it; it is idle.
async fn full() -> (Connections, DuplexStream) {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let mut connections = Connections::new(&limits);
    let (ours, theirs) = duplex(IN_FLIGHT);
    let permit = connections.permits.clone().try_acquire_owned();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    connections.serve(ours, peer, permit.expect("a free permit"), |_| async {
        http::Response::new(Body::Right(Full::new(Bytes::from_static(b"answer"))))
    });
    tokio::task::yield_now().await;
    (connections, theirs)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_makes_room_and_a_partial_head_is_idle() {
    for sent in ["", "GET / HTTP/1.1\r\nhos"] {
        let (connections, mut client) = full().await;
        client.write_all(sent.as_bytes()).await.expect("an end");
        tokio::task::yield_now().await;
        let started = Instant::now();
        drop(connections.room().await);
        // The clock of the tests counts whole milliseconds.
        assert!(started.elapsed() <= idle::MIN_IDLE + Duration::from_millis(1));
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
    // Not yet read by the server when it looks for room.
    client.write_all(REQUEST).await.expect("a connection");
    drop(connections.room().await);
    let mut read = String::new();
    client.read_to_string(&mut read).await.expect("an end");
    assert!(read.ends_with("answer"), "{read}");
    assert!(read.contains("\r\nconnection: close\r\n"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_read_is_not_given_up_for_room() {
    let (connections, mut client) = requested().await;
    let started = Instant::now();
    // All but one are taken.
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
fn only_as_many_responses_close_their_connections_as_clients_wait() {
    let closing = Closing::default();
    assert!(!closing.this_one());
    closing.next.store(true, Ordering::Relaxed);
    assert!(closing.this_one() && !closing.this_one());
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_that_was_answered_early_is_no_head() {
    let mut connections = Connections::new(&Limits::default());
    let (ours, mut client) = duplex(IN_FLIGHT);
    let permit = connections.permits.clone().try_acquire_owned();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    connections.serve(ours, peer, permit.expect("a free permit"), |request| {
        tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
        async { http::Response::new(Body::Right(Full::new(Bytes::from_static(b"answer")))) }
    });
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head).await.expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(b"answer") {
        assert!(client.read_buf(&mut read).await.expect("a connection") > 0);
    }
    client.write_all(b"body").await.expect("a connection");
    let started = Instant::now();
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    let limit = Limits::default().idle_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());
}
