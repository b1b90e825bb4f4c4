//! Visitors with keep-alive connections that pause between their visits, and their results.

use futures::future::join_all;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use visits_tests::Connection;
use visits_tests::load::visit;

/// The results of all clients.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The numbers of their visits.
    pub(super) numbers: Vec<u64>,
    /// The errors of failed visits.
    pub(super) errors: Vec<String>,
}

/// One client.
struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    tally: Tally,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            tally: Tally::default(),
        }
    }

    /// Visits once. Opens a new connection if the proxy has closed the old one, which it may do with idle connections.
    async fn visit(&mut self) {
        let open = self.connection.take().filter(|open| !open.is_closed());
        let opened = match open {
            Some(open) => Ok(open),
            None => Connection::open(self.address).await,
        };
        let visited = match opened {
            Ok(mut connection) => {
                let visited = visit(&mut connection).await;
                self.connection = Some(connection);
                visited
            }
            Err(error) => Err(error),
        };
        match visited {
            Ok(number) => self.tally.numbers.push(number),
            Err(error) => self.tally.errors.push(format!("{error:#}")),
        }
    }
}

/// Lets each client visit three times in every round and then pause. `pause` returns the pause of a client and a round.
pub(super) async fn pausing(
    address: SocketAddr,
    clients: u64,
    rounds: u64,
    pause: impl Fn(u64, u64) -> Duration,
) -> Tally {
    let client = |number: u64| {
        let pause = &pause;
        async move {
            let mut client = Client::new(address);
            for round in 0..rounds {
                for _ in 0..3 {
                    client.visit().await;
                }
                tokio::time::sleep(pause(number, round)).await;
            }
            client.tally
        }
    };
    merge(join_all((0..clients).map(client)).await)
}

/// Lets each client visit without pauses until `done`.
pub(super) async fn busy(address: SocketAddr, clients: u64, done: &AtomicBool) -> Tally {
    let client = |_| async move {
        let mut client = Client::new(address);
        while !done.load(Relaxed) {
            client.visit().await;
        }
        client.tally
    };
    merge(join_all((0..clients).map(client)).await)
}

/// Returns pauses that end within 5 ms of `limit` for three of four clients, and short ones for the others.
pub(super) fn around(limit: Duration) -> impl Fn(u64, u64) -> Duration {
    move |client, round| {
        let offset = Duration::from_micros((client * 37 + round * 101) % 100 * 100);
        match client % 4 {
            3 => Duration::from_millis(client % 50),
            _ => limit - Duration::from_millis(5) + offset,
        }
    }
}

fn merge(tallies: Vec<Tally>) -> Tally {
    let mut all = Tally::default();
    for tally in tallies {
        all.numbers.extend(tally.numbers);
        all.errors.extend(tally.errors);
    }
    all
}
