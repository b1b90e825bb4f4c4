//! Clients of the counter: they visit, and keep what they were told.

use crate::Connection;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One visit; its number.
pub async fn visit(connection: &mut Connection) -> Result<u64> {
    let reply = connection.get("/").await?;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    Ok(reply.text().trim_end().parse()?)
}

/// `clients` clients on a connection each, each visiting `each` times in a row. All their numbers.
pub async fn visits(address: SocketAddr, clients: u64, each: u64) -> Result<Vec<u64>> {
    let client = || async {
        let mut connection = Connection::open(address).await?;
        let mut numbers = Vec::new();
        for _ in 0..each {
            numbers.push(visit(&mut connection).await?);
        }
        anyhow::Ok(numbers)
    };
    let numbers = try_join_all((0..clients).map(|_| client())).await?;
    Ok(numbers.concat())
}

/// Clients that visit until the host dies, and a record of it.
#[derive(Debug, Default)]
pub struct Record {
    sent: AtomicU64,
    numbers: Mutex<Vec<u64>>,
}

impl Record {
    /// How many visits were sent, answered or not.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// The numbers that were acknowledged so far.
    pub fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().expect("no holder panics").clone()
    }

    /// Visits with `clients` clients until none can any more.
    pub async fn visit_until_the_end(&self, address: SocketAddr, clients: usize) {
        let client = || async {
            let Ok(mut connection) = Connection::open(address).await else {
                return;
            };
            loop {
                self.sent.fetch_add(1, Ordering::SeqCst);
                match visit(&mut connection).await {
                    Ok(number) => self.numbers.lock().expect("no holder panics").push(number),
                    Err(_) => return,
                }
            }
        };
        futures::future::join_all((0..clients).map(|_| client())).await;
    }
}

/// The number in `visits.bin`, as an operator reads it.
pub fn visits_bin(volume: &Path) -> Result<u64> {
    let path = volume.join("visits.bin");
    let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let bytes: [u8; 8] = bytes[..]
        .try_into()
        .with_context(|| format!("{} has {} bytes", path.display(), bytes.len()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Asserts that these are the numbers `first..=last`, each once.
#[track_caller]
pub fn assert_exactly(mut numbers: Vec<u64>, first: u64, last: u64) {
    numbers.sort_unstable();
    let expected = last + 1 - first;
    let doubles = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(
        (
            numbers.len() as u64,
            doubles,
            numbers.first(),
            numbers.last()
        ),
        (expected, 0, Some(&first), Some(&last)),
        "(how many, doubles, first, last)"
    );
}
