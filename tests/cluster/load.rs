//! Load: visitors that go on until they are told to stop, and what became of each visit.
//!
//! Half of them keep their connection while the server does, as browsers and proxies do; the others take a new one for
//! each visit. Only connecting is tried again: a request that was sent and not answered is a failure.

use crate::visitors::{Served, visit};
use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use visits_tests::{Connection, wait};

/// Visitors of each kind.
const VISITORS: usize = 16;

/// What a visitor pauses between two visits: the node has two cores, and other things to do on them.
const PAUSE: Duration = Duration::from_millis(10);

/// How long one attempt to connect may take, and one visit. A node that is gone answers neither.
const ATTEMPT: Duration = Duration::from_secs(2);
const VISIT: Duration = Duration::from_secs(10);

/// How long visitors try to connect before they call that a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Visitors at work.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    visitors: Vec<JoinHandle<Report>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    stop: AtomicBool,
    answered: AtomicU64,
}

/// What became of all visits.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What was answered.
    pub(crate) served: Served,
    /// How many were sent, answered or not.
    pub(crate) sent: u64,
    /// Why those that were not answered were not.
    pub(crate) failures: Vec<String>,
    /// Attempts to connect that failed.
    pub(crate) refused: u64,
}

impl Load {
    /// Starts to visit.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            address,
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        });
        let visitor = |number| tokio::spawn(visit_on(shared.clone(), number % 2 == 0));
        let visitors = (0..2 * VISITORS).map(visitor).collect();
        Self { shared, visitors }
    }

    /// Waits until so many more visits are answered.
    pub(crate) async fn goes_on(&self, visits: u64) -> Result<()> {
        let wanted = self.shared.answered.load(Ordering::Relaxed) + visits;
        wait::until("visits are answered", PATIENCE, async || {
            let answered = self.shared.answered.load(Ordering::Relaxed);
            Ok((answered >= wanted).then_some(()))
        })
        .await
    }

    /// Lets every visitor finish.
    pub(crate) async fn end(self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Report::default();
        for report in join_all(self.visitors).await {
            let report = report.context("a visitor")?;
            all.served.merge(report.served);
            all.sent += report.sent;
            all.failures.extend(report.failures);
            all.refused += report.refused;
        }
        Ok(all)
    }
}

impl Report {
    /// Checks that every visit was answered.
    pub(crate) fn no_visit_failed(&self) -> Result<()> {
        ensure!(
            self.failures.is_empty(),
            "{} of {} visits failed: {:#?}",
            self.failures.len(),
            self.sent,
            &self.failures[..self.failures.len().min(10)]
        );
        Ok(())
    }
}

async fn visit_on(shared: Arc<Shared>, keeps: bool) -> Report {
    let mut report = Report::default();
    let mut kept = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let usable = kept.take().filter(|it: &Connection| !it.is_closed());
        let connection = match usable {
            Some(connection) => Ok(connection),
            None => connect(&shared, &mut report.refused).await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                report.failures.push(format!("{error:#}"));
                continue;
            }
        };
        report.sent += 1;
        match timeout(VISIT, visit(&mut connection)).await {
            Ok(Ok((pod, number))) => {
                report.served.add(pod, number);
                shared.answered.fetch_add(1, Ordering::Relaxed);
                kept = keeps.then_some(connection);
            }
            Ok(Err(error)) => {
                let kind = if keeps { "kept" } else { "new" };
                report
                    .failures
                    .push(format!("on a {kind} connection: {error:#}"));
            }
            Err(_) => report.failures.push(format!("no answer within {VISIT:?}")),
        }
        if !keeps {
            sleep(PAUSE).await;
        }
    }
    report
}

async fn connect(shared: &Shared, refused: &mut u64) -> Result<Connection> {
    let end = Instant::now() + PATIENCE;
    loop {
        let error = match timeout(ATTEMPT, Connection::open(shared.address)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no connection within {ATTEMPT:?}"),
        };
        *refused += 1;
        if Instant::now() > end || shared.stop.load(Ordering::Relaxed) {
            return Err(error);
        }
        sleep(PAUSE).await;
    }
}
