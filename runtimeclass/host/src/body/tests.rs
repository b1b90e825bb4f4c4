//! The time limits for a request's body, tested with hyper on a connection in memory and a clock that advances only
//! while every task waits.

use super::*;
use crate::watch::Watch;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The outcome of sending a body: how much was received, and how and when it ended.
#[derive(Debug)]
struct Outcome {
    received: usize,
    error: Option<Error>,
    after: Duration,
}

/// Returns the outcome of a body that `client` sends to a component that pauses before every piece.
async fn outcome<F>(pause: Duration, client: impl FnOnce(DuplexStream) -> F) -> Outcome
where
    F: Future<Output = std::io::Result<DuplexStream>>,
{
    let (ours, mut theirs) = duplex(64 << 10);
    let (outcomes, mut outcome) = mpsc::channel(1);
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let outcomes = outcomes.clone();
        async move {
            let outcome = read(request.into_body(), pause).await;
            outcomes.try_send(outcome).expect("one request");
            Ok::<_, std::convert::Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let server = hyper::server::conn::http1::Builder::new();
    let server = server.serve_connection(TokioIo::new(ours), answer);
    let client = async {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        theirs.write_all(head.as_bytes()).await?;
        client(theirs).await
    };
    // The client may outlive its request, and then writes to a closed connection.
    tokio::select! {
        (served, sent) = async { tokio::join!(server, client) } => drop((served, sent)),
        outcome = outcome.recv() => return outcome.expect("the outcome of the request"),
    }
    outcome.recv().await.expect("the outcome of the request")
}

async fn read(incoming: Incoming, pause: Duration) -> Outcome {
    let started = Instant::now();
    let watch = Arc::new(Watch::new(IDLE_LIMIT));
    let progress = watch.register().progress().clone();
    let mut body = RequestBody::new(incoming, IDLE_LIMIT, progress);
    let (mut received, mut error) = (0, None);
    loop {
        tokio::time::sleep(pause).await;
        match body.frame().await {
            Some(Ok(frame)) => received += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(failed)) => error = Some(failed),
            None => break,
        }
    }
    Outcome {
        received,
        error,
        after: started.elapsed(),
    }
}

/// Sends this number of pieces of this length, one after each interval, and then the end.
async fn send(
    mut stream: DuplexStream,
    pieces: usize,
    length: usize,
    every: Duration,
) -> std::io::Result<DuplexStream> {
    let piece = format!("{length:x}\r\n{}\r\n", "x".repeat(length));
    for _ in 0..pieces {
        tokio::time::sleep(every).await;
        stream.write_all(piece.as_bytes()).await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(stream)
}

fn is_cut(outcome: &Outcome) -> bool {
    matches!(outcome.error, Some(Error::ConnectionReadTimeout))
}

#[tokio::test(start_paused = true)]
async fn a_trickling_client_is_cut_even_if_it_never_pauses_for_long() {
    let every = Duration::from_secs(5);
    let outcome = outcome(Duration::ZERO, |stream| send(stream, 1000, 1, every)).await;
    assert!(is_cut(&outcome), "{:?}", outcome.error);
    assert_eq!(outcome.after.as_secs(), SLOW_START.as_secs());
    assert!(outcome.received < 10, "{} bytes", outcome.received);
}

#[tokio::test(start_paused = true)]
async fn a_client_at_the_minimum_rate_has_no_limit() {
    let every = Duration::from_secs(5);
    let length = MIN_RATE as usize * 5;
    let outcome = outcome(Duration::ZERO, |stream| send(stream, 720, length, every)).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.received, 720 * length);
    assert!(outcome.after >= Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn a_fast_client_that_stops_is_cut_after_the_idle_limit() {
    let outcome = outcome(Duration::ZERO, |mut stream| async move {
        stream.write_all(b"4\r\nmany\r\n").await?;
        std::future::pending().await
    })
    .await;
    assert!(is_cut(&outcome), "{:?}", outcome.error);
    assert_eq!(outcome.after.as_secs(), IDLE_LIMIT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_components_own_time_does_not_count_as_the_clients() {
    let pause = Duration::from_secs(60);
    // Each piece comes a second after the component wants it, so that it also waits for the client.
    let every = pause + Duration::from_secs(1);
    let outcome = outcome(pause, |stream| send(stream, 10, 1, every)).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.received, 10);
}
