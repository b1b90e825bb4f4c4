//! Clients that visit, and what they were told.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use visits_tests::Connection;

/// One visit; its number.
pub(crate) async fn visit(connection: &mut Connection) -> Result<u64> {
    let reply = connection.get("/").await?;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    Ok(reply.text().trim_end().parse()?)
}

/// `clients` clients on a connection each, each visiting `each` times in a row. All their numbers.
pub(crate) async fn visits(address: SocketAddr, clients: u64, each: u64) -> Result<Vec<u64>> {
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
#[derive(Default)]
pub(crate) struct Record {
    sent: AtomicU64,
    numbers: Mutex<Vec<u64>>,
}

impl Record {
    /// How many visits were sent, answered or not.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// The numbers that were acknowledged so far.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().expect("no holder panics").clone()
    }

    /// Visits with `clients` clients until none can any more.
    pub(crate) async fn visit_until_the_end(&self, address: SocketAddr, clients: usize) {
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
