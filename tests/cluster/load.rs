//! Load: visitors that visit until they are stopped, and the outcome of each visit.
//!
//! Half of the visitors keep their connection while the server does, as browsers and proxies do. The others open a new one for
//! each visit. Only connecting is retried: a request that gets no response is a failure.

use crate::stateful_set::StatefulSet;
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

/// The number of visitors of each kind.
const VISITORS: usize = 16;

/// A visitor's pause between two visits, which leaves CPU time for the node.
const PAUSE: Duration = Duration::from_millis(10);

/// The deadline of one attempt to connect. A node that is down does not refuse it.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The deadline of one visit.
const VISIT: Duration = Duration::from_secs(10);

/// How long visitors try to connect before they record a failure.
const RETRIES: Duration = Duration::from_secs(30);

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

/// The outcome of all visits.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The responses.
    pub(crate) served: Served,
    /// The number of visits sent, with or without a response.
    pub(crate) sent: u64,
    /// The errors of the visits without a response.
    pub(crate) failures: Vec<String>,
    /// The number of failed attempts to connect.
    pub(crate) refused: u64,
}

impl Load {
    /// Starts the visitors.
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

    /// Waits for this number of further responses.
    pub(crate) async fn goes_on(&self, visits: u64) -> Result<()> {
        let wanted = self.shared.answered.load(Ordering::Relaxed) + visits;
        wait::until("responses to visits", RETRIES, async || {
            let answered = self.shared.answered.load(Ordering::Relaxed);
            Ok((answered >= wanted).then_some(()))
        })
        .await
    }

    /// Stops the visitors after their current visit and returns the outcome.
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
    /// Fails if a visit got no response.
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

/// Runs an event under load. Fails unless every visit got a response and was counted exactly once.
pub(crate) async fn during(
    counters: &StatefulSet<'_>,
    event: impl AsyncFnOnce(&Load) -> Result<()>,
) -> Result<()> {
    let before = counters.counts().await?;
    let load = Load::start(counters.address().await?);
    load.goes_on(100).await?;
    event(&load).await?;
    load.goes_on(100).await?;
    let report = load.end().await?;
    let after = counters.counts().await?;
    eprintln!(
        "{} of {} visits got a response, {} attempts to connect failed; counted {after:?}",
        report.served.total(),
        report.sent,
        report.refused
    );
    report.no_visit_failed()?;
    report.served.were_counted(before, after)
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
            Err(_) => report
                .failures
                .push(format!("no response within {VISIT:?}")),
        }
        if !keeps {
            sleep(PAUSE).await;
        }
    }
    report
}

async fn connect(shared: &Shared, refused: &mut u64) -> Result<Connection> {
    let end = Instant::now() + RETRIES;
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
