//! Visitors with keep-alive connections who pause between their visits, and what they were told.

use futures::future::join_all;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use visits_tests::Connection;
use visits_tests::load::visit;

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The numbers of their visits.
    pub(super) numbers: Vec<u64>,
    /// What they got instead of one.
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

    /// Visits once. A proxy may close its own idle connections: a closed one is replaced.
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

/// Lets `clients` visit three times, pause for as long as `pause` says for the client and the round, and so on.
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
                // A visitor's own pause, which is what is tried here.
                tokio::time::sleep(pause(number, round)).await;
            }
            client.tally
        }
    };
    merge(join_all((0..clients).map(client)).await)
}

/// Lets `clients` visit all the time until it is `done`.
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

/// Pauses that end within 5 ms before or after `limit`, and others.
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
