//! What a component should not do.

use crate::text;
use bytes::Bytes;
use futures::{SinkExt, channel::mpsc};
use http_body_util::StreamBody;
use spin_sdk::http::{BoxBody, Response, box_body};
use std::convert::Infallible;
use wasi::wit_bindgen;

/// Computes and never awaits, so that only the host's clock can interrupt it.
pub(crate) fn compute_for_ever() -> ! {
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

/// Responds, and computes for ever while the response is being sent.
pub(crate) fn compute_for_ever_after_the_response() -> Response<BoxBody> {
    wit_bindgen::spawn(async {
        wasi::clocks::monotonic_clock::wait_for(1_000_000).await;
        compute_for_ever()
    });
    text("later\n")
}

/// Awaits for ever.
pub(crate) async fn wait_for_ever() -> ! {
    // The writer is kept, so the stream never ends. To the host this looks like any other wait.
    let (writer, mut reader) = wasi::wit_stream::new::<u8>();
    reader.next().await;
    drop(writer);
    unreachable!("nothing was written")
}

/// Grows its memory until the host refuses.
pub(crate) fn allocate_for_ever() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself until the stack is full.
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if frame[0] == u64::MAX {
        return depth;
    }
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

/// Writes to stdout for ever.
pub(crate) fn print_for_ever() -> ! {
    let line = "x".repeat(1 << 10);
    loop {
        println!("{line}");
    }
}

/// Allocates memory, writes to all of it, and frees it. The instance keeps it.
pub(crate) fn take(mebibytes: usize) -> Response<BoxBody> {
    let taken: Vec<Vec<u8>> = (0..mebibytes)
        .map(|_| std::hint::black_box(vec![1_u8; 1 << 20]))
        .collect();
    text(format!("{}\n", taken.len()))
}

/// Begins a response without a length, and traps before its end.
pub(crate) fn trap_late() -> Response<BoxBody> {
    let (mut pieces, body) = mpsc::channel(0);
    wit_bindgen::spawn(async move {
        let _ = pieces
            .send(Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(
                "half\n",
            ))))
            .await;
        wasi::clocks::monotonic_clock::wait_for(50_000_000).await;
        panic!("asked to, late");
    });
    Response::new(box_body(StreamBody::new(body)))
}

/// Responds after a time in milliseconds.
pub(crate) async fn sleep(milliseconds: u64) -> Response<BoxBody> {
    wasi::clocks::monotonic_clock::wait_for(milliseconds * 1_000_000).await;
    text("slept\n")
}

/// Returns a response that HTTP forbids.
pub(crate) fn invalid(kind: &str) -> anyhow::Result<Response<BoxBody>> {
    let mut response = text("ten bytes\n");
    let headers = response.headers_mut();
    match kind {
        "short" => drop(headers.insert("content-length", 5.into())),
        "long" => drop(headers.insert("content-length", 50.into())),
        "forbidden" => drop(headers.insert("connection", "close".parse()?)),
        "status" => *response.status_mut() = spin_sdk::http::StatusCode::EARLY_HINTS,
        _ => anyhow::bail!("asked to fail: {kind}"),
    }
    Ok(response)
}
