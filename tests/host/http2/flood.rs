//! Attacks a host from several connections, and checks what other clients notice.

use super::frames::{GOAWAY, PREFACE, RST_STREAM, SETTINGS, frame};
use crate::common::peak_memory;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use visits_tests::{DEADLINE, Host, get};

/// The duration of an attack that the server does not end, if the attacker reads.
const ATTACK: Duration = Duration::from_secs(3);
/// Maximum number of frames in a write, and the number of bytes after which a write has no more frames.
const MAX_FRAMES: usize = 1000;
const WRITE: usize = 16 << 10;
/// A server that takes no bytes for this long has stopped reading.
const STALL: Duration = Duration::from_millis(500);
/// The timeout of another client, like that of a health probe.
const BYSTANDER: Duration = Duration::from_secs(1);
/// The number of attacking connections.
const ATTACKERS: usize = 4;

/// Whether an attacker reads the server's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Yes,
    No,
}

/// The outcome for an attacker.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The error code of the server's GOAWAY, if it was read.
    pub(super) goaway: Option<u32>,
    /// Streams that the server has reset.
    pub(super) resets: usize,
    /// Whether the server closed the connection.
    pub(super) closed: bool,
    /// Whether the server stopped reading.
    pub(super) stalled: bool,
    /// Bytes that the attacker has sent.
    pub(super) sent: usize,
}

/// Attacks a host from [`ATTACKERS`] connections for [`ATTACK`], or until the server ends the attack by closing the
/// connection or by no longer reading. Each attacker sends `first` and then the pieces that `next` makes of increasing
/// numbers. Asserts that other clients are answered within [`BYSTANDER`] in the meantime, and that the process grows by
/// less than `growth` bytes.
pub(super) async fn attack(
    host: &Host,
    reading: Reading,
    growth: usize,
    first: &[u8],
    next: impl Fn(u32) -> Vec<u8>,
) -> Result<Vec<Outcome>> {
    ensure!(get(host.address(), "/hello").await?.status == 200);
    let before = peak_memory(host)?;
    let attackers = (0..ATTACKERS).map(|_| one(host, reading, first, &next));
    let attackers = futures::future::try_join_all(attackers);
    let bystander = async {
        let started = Instant::now();
        let mut answers = 0;
        while started.elapsed() < ATTACK / 2 || answers < 5 {
            let reply = tokio::time::timeout(BYSTANDER, get(host.address(), "/hello"));
            let reply = reply
                .await
                .map_err(|_| host.failed(&format!("no response within {BYSTANDER:?}")))?;
            ensure!(reply?.status == 200);
            answers += 1;
        }
        Ok(())
    };
    let (outcomes, ()) = futures::future::try_join(attackers, bystander).await?;
    let grown = peak_memory(host)?.saturating_sub(before);
    ensure!(
        grown < growth,
        host.failed(&format!("the process grew by {grown} bytes: {outcomes:?}"))
    );
    Ok(outcomes)
}

async fn one(
    host: &Host,
    reading: Reading,
    first: &[u8],
    next: &impl Fn(u32) -> Vec<u8>,
) -> Result<Outcome> {
    let stream = TcpStream::connect(host.address()).await?;
    let (reader, mut writer) = stream.into_split();
    let (kept, reader) = match reading {
        Reading::Yes => (None, Some(tokio::spawn(read(reader)))),
        Reading::No => (Some(reader), None),
    };
    // A slow machine takes longer to fill the buffers between the two until the server stops reading.
    let limit = match reading {
        Reading::Yes => ATTACK,
        Reading::No => DEADLINE,
    };
    let mut outcome = Outcome {
        goaway: None,
        resets: 0,
        closed: false,
        stalled: false,
        sent: 0,
    };
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), first].concat();
    let started = Instant::now();
    let mut pieces = 0_u32..;
    let mut piece = opening;
    while started.elapsed() < limit && !outcome.stalled && !outcome.closed {
        match write(&mut writer, &piece).await {
            Some(true) => outcome.sent += piece.len(),
            Some(false) => outcome.closed = true,
            None => outcome.stalled = true,
        }
        // Many small frames in one write, so that the attack is faster than the server.
        piece.clear();
        for number in pieces.by_ref().take(MAX_FRAMES) {
            piece.extend(next(number));
            if piece.len() >= WRITE {
                break;
            }
        }
        if piece.is_empty() {
            // The attacker only keeps what it has.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The other client shares this thread.
        tokio::task::yield_now().await;
    }
    drop(kept);
    drop(writer);
    if let Some(reader) = reader {
        let read = tokio::time::timeout(DEADLINE, reader).await;
        let (goaway, resets) = read.context("the server keeps the connection open")??;
        outcome.goaway = goaway;
        outcome.resets = resets;
        outcome.closed |= goaway.is_some();
    }
    Ok(outcome)
}

/// Returns whether the connection is open, or `None` if the server has stopped reading.
async fn write(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> Option<bool> {
    let written = tokio::time::timeout(STALL, writer.write_all(bytes)).await;
    written.ok().map(|written| written.is_ok())
}

/// Reads frames until the end. Returns the error code of a GOAWAY and the number of resets.
async fn read(mut reader: OwnedReadHalf) -> (Option<u32>, usize) {
    let (mut goaway, mut resets) = (None, 0);
    loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).await.is_err() {
            return (goaway, resets);
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if reader.read_exact(&mut payload).await.is_err() {
            return (goaway, resets);
        }
        match head[3] {
            GOAWAY if length >= 8 => {
                let code = payload[4..8].try_into().expect("four bytes");
                goaway = Some(u32::from_be_bytes(code));
            }
            RST_STREAM => resets += 1,
            _ => {}
        }
    }
}
