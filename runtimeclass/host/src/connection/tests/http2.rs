//! HTTP/2 clients that leave responses unread, stay idle or ignore GOAWAY, in memory and with the clock of the other
//! tests.

use super::*;
use futures::future::{join_all, poll_fn};
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason};

/// A client whose connection is driven by its own task. The task returns the connection's result.
struct Client {
    sender: SendRequest<Bytes>,
    ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    /// Connects to a server that answers after `delay`: a `HEAD` with no bytes, other methods with [`LENGTH`] bytes.
    async fn connect(connections: &mut Connections, delay: Duration, window: u32) -> Self {
        Self::with_pings(connections, delay, window).await.0
    }

    async fn with_pings(
        connections: &mut Connections,
        delay: Duration,
        window: u32,
    ) -> (Self, PingPong) {
        let stream = serve_slowly(connections, delay);
        let (sender, mut connection): (_, Connection<_, Bytes>) = Builder::new()
            .initial_window_size(window)
            .handshake(stream)
            .await
            .expect("a connection");
        let pings = connection.ping_pong().expect("the first call");
        let ended = tokio::spawn(connection);
        (Self { sender, ended }, pings)
    }

    async fn send(&mut self, method: http::Method) -> ResponseFuture {
        poll_fn(|cx| self.sender.poll_ready(cx))
            .await
            .expect("a connection");
        let request = Request::builder().method(method).uri("http://a/");
        let request = request.body(()).expect("a request");
        self.sender
            .send_request(request, true)
            .expect("a connection")
            .0
    }

    /// Waits until the connection ends gracefully.
    async fn ended(self) {
        self.ended.await.expect("no panic").expect("no error");
    }
}

/// Opens a connection to a server that answers after `delay`, and returns the client's end of it.
fn serve_slowly(connections: &mut Connections, delay: Duration) -> DuplexStream {
    open(connections, move |request| async move {
        tokio::time::sleep(delay).await;
        let length = match *request.method() {
            http::Method::HEAD => 0,
            _ => LENGTH,
        };
        response(vec![7; length])
    })
}

const AT_ONCE: Duration = Duration::ZERO;
const OPEN: u32 = 2 * LENGTH as u32;

#[tokio::test(start_paused = true)]
async fn a_response_whose_window_never_opens_costs_its_stream_alone() {
    let mut connections = Connections::new(&Limits::default());
    let mut client = Client::connect(&mut connections, AT_ONCE, 0).await;
    let unread = client.send(http::Method::GET).await;
    let mut body = unread.await.expect("a head").into_body();
    let started = Instant::now();
    let error = body.data().await.expect("a reset").expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert_eq!(started.elapsed().as_secs(), WRITE_STALL.as_secs());
    assert_eq!(connections.requests(), 0);
    let other = client.send(http::Method::HEAD).await.await;
    assert_eq!(other.expect("a response").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_its_window_slowly_gets_its_whole_response() {
    let mut connections = Connections::new(&Limits::default());
    let mut client = Client::connect(&mut connections, AT_ONCE, 1 << 16).await;
    let mut body = client
        .send(http::Method::GET)
        .await
        .await
        .expect("a head")
        .into_body();
    let mut received = 0;
    while let Some(piece) = body.data().await {
        let length = piece.expect("a connection").len();
        received += length;
        tokio::time::sleep(Duration::from_secs(1)).await;
        body.flow_control().release_capacity(length).expect("owed");
    }
    assert_eq!(received, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_extend_the_idle_limit() {
    let limits = Limits::default();
    let mut connections = Connections::new(&limits);
    let (mut client, mut pings) = Client::with_pings(&mut connections, AT_ONCE, OPEN).await;
    let answer = client.send(http::Method::HEAD).await.await;
    assert_eq!(answer.expect("a response").status(), 200);
    let started = Instant::now();
    let keep_alive = tokio::spawn(async move {
        while pings.ping(Ping::opaque()).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    client.ended().await;
    assert_eq!(started.elapsed().as_secs(), limits.idle_timeout.as_secs());
    keep_alive.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_preface_has_the_head_limit() {
    let mut connections = Connections::new(&Limits::default());
    let mut client = serve_slowly(&mut connections, AT_ONCE);
    let started = Instant::now();
    client
        .write_all(b"PRI * HTTP/2.0\r\n")
        .await
        .expect("a connection");
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
    let limit = Limits::default().header_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_makes_room_by_a_graceful_close() {
    let limits = Limits {
        connections: Some(1),
        ..Limits::default()
    };
    let mut connections = Connections::new(&limits);
    let mut client = Client::connect(&mut connections, AT_ONCE, OPEN).await;
    let answer = client.send(http::Method::HEAD).await.await;
    assert_eq!(answer.expect("a response").status(), 200);
    let started = Instant::now();
    drop(connections.room().await);
    assert!(started.elapsed() < Duration::from_secs(1));
    client.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_makes_room_after_its_requests() {
    const DELAY: Duration = Duration::from_secs(2);
    let limits = Limits {
        connections: Some(1),
        ..Limits::default()
    };
    let mut connections = Connections::new(&limits);
    let mut client = Client::connect(&mut connections, DELAY, OPEN).await;
    let first = client.send(http::Method::HEAD).await;
    tokio::time::sleep(DELAY / 2).await;
    let second = client.send(http::Method::HEAD).await;
    let started = Instant::now();
    let (room, first, second) = futures::join!(connections.room(), first, second);
    drop(room);
    for answer in [first, second] {
        assert_eq!(answer.expect("a response").status(), 200);
    }
    assert!(started.elapsed() < DELAY + Duration::from_secs(1));
    client.ended().await;
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_answered_while_the_server_drains() {
    const DELAY: Duration = Duration::from_secs(5);
    let mut connections = Connections::new(&Limits::default());
    let mut client = Client::connect(&mut connections, DELAY, OPEN).await;
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(client.send(http::Method::HEAD).await);
    }
    tokio::time::sleep(DELAY / 5).await;
    let started = Instant::now();
    let (answers, ()) = futures::join!(join_all(requests), connections.finish());
    for answer in answers {
        assert_eq!(answer.expect("a response").status(), 200);
    }
    assert!(started.elapsed() < DELAY);
    client.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_goaway_is_kept_for_the_linger_time() {
    let mut connections = Connections::new(&Limits::default());
    let mut client = serve_slowly(&mut connections, AT_ONCE);
    // The preface and empty SETTINGS. The client acknowledges no PING.
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("a connection");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    connections.finish().await;
    assert_eq!(started.elapsed().as_secs(), LINGER.as_secs());
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.expect("an end");
}
