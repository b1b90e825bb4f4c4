//! Clients of the counter, which keep the numbers of their visits.

use crate::history::{History, number};
use crate::{Connection, DEADLINE, wait};
use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Makes a visit and returns its number.
pub async fn visit(connection: &mut Connection) -> Result<u64> {
    number(&connection.get("/").await?)
}

/// Runs `clients` clients with a connection each. Each makes `each` visits in sequence. Returns all numbers.
pub async fn visits(address: SocketAddr, clients: u64, each: u64) -> Result<Vec<u64>> {
    let history = History::new();
    history.visits(address, clients, each).await?;
    Ok(history.numbers())
}

impl History {
    /// Runs `clients` clients with a connection each, and records their visits. Each makes `each` visits in sequence.
    pub async fn visits(&self, address: SocketAddr, clients: u64, each: u64) -> Result<()> {
        let client = || async {
            let mut connection = Connection::open(address).await?;
            let client = self.client();
            for _ in 0..each {
                client.visit(&mut connection).await?;
            }
            anyhow::Ok(())
        };
        try_join_all((0..clients).map(|_| client())).await.map(drop)
    }

    /// Runs `clients` clients with a connection each until they are stopped, and records their visits. Fails with the first
    /// visit that fails.
    pub async fn visits_until(
        &self,
        address: SocketAddr,
        clients: usize,
        stop: &AtomicBool,
    ) -> Result<()> {
        let client = || async {
            let mut connection = Connection::open(address).await?;
            let client = self.client();
            while !stop.load(Ordering::Relaxed) {
                client.visit(&mut connection).await?;
            }
            anyhow::Ok(())
        };
        try_join_all((0..clients).map(|_| client())).await.map(drop)
    }

    /// Runs `clients` clients with a connection each until each has failed, and records their visits.
    pub async fn visit_until_the_end(&self, address: SocketAddr, clients: usize) {
        let client = || async {
            let Ok(mut connection) = Connection::open(address).await else {
                return;
            };
            let client = self.client();
            while client.visit(&mut connection).await.is_ok() {}
        };
        join_all((0..clients).map(|_| client())).await;
    }

    /// Waits until so many more visits are answered.
    ///
    /// # Errors
    /// Fails if they are not.
    pub async fn answers(&self, more: usize) -> Result<()> {
        let enough = self.answered() + more;
        wait::until("visits are answered", DEADLINE, async || {
            Ok((self.answered() >= enough).then_some(()))
        })
        .await
    }

    /// Checks that `visits.bin` holds every number acknowledged so far.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or holds a lower number.
    pub fn check_published(&self, volume: &Path) -> Result<()> {
        let highest = self.highest();
        let published = visits_bin(volume)?;
        ensure!(
            highest <= published,
            "visits.bin holds {published} after {highest} was acknowledged"
        );
        Ok(())
    }
}

/// Returns the time within which 99 of 100 of these requests were answered.
///
/// # Panics
/// If there are none.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}

/// Returns the number in `visits.bin`, as an operator reads it.
pub fn visits_bin(volume: &Path) -> Result<u64> {
    let path = volume.join("visits.bin");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let bytes: [u8; 8] = bytes[..]
        .try_into()
        .with_context(|| format!("{} has {} bytes, not 8", path.display(), bytes.len()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Asserts that these are the numbers from `first` to `last`, each once.
#[track_caller]
pub fn assert_exactly(mut numbers: Vec<u64>, first: u64, last: u64) {
    numbers.sort_unstable();
    let expected = last + 1 - first;
    let duplicates = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(
        (
            numbers.len() as u64,
            duplicates,
            numbers.first(),
            numbers.last()
        ),
        (expected, 0, Some(&first), Some(&last)),
        "(count, duplicates, first, last)"
    );
}
