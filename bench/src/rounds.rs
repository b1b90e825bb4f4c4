//! The rounds of a run. In each round every row gets one load; every second round runs in reverse, so that a machine that
//! slows down during a round favours no row.

use crate::disk;
use crate::peer::Peer;
use crate::plan::{DISK, Planned};
use crate::progress::Progress;
use crate::row::{Row, Rows};
use crate::running::Running;
use crate::sample::Sample;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// How long a server is loaded before the first round.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// How many loads each row gets, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) rounds: usize,
    pub(crate) length: Duration,
}

impl Schedule {
    /// Returns about how long this many rows take.
    pub(crate) fn estimate(&self, rows: usize) -> Duration {
        // A load's end and its program's start take some tenths of a second.
        let load = self.length + Duration::from_millis(300);
        let start = WARM_UP + Duration::from_secs(1);
        (load * u32::try_from(self.rounds).unwrap_or(u32::MAX) + start)
            * u32::try_from(rows).unwrap_or(u32::MAX)
    }
}

/// What is measured in a row.
enum Subject<'a> {
    Server(Box<Running<'a>>),
    Disk,
}

/// A row while it is measured.
struct Lane<'a> {
    subject: Subject<'a>,
    row: Row,
}

/// Measures these rows of these servers. The servers all run at once, each row's with a volume of its own, and only one
/// is loaded at a time.
pub(crate) fn run(
    peers: &[Peer],
    rows: &[Planned],
    schedule: &Schedule,
    progress: &mut Progress,
) -> Result<Rows> {
    let mut lanes = Vec::new();
    for planned in rows {
        lanes.push(Lane::start(peers, *planned, progress)?);
    }
    for round in 0..schedule.rounds {
        let mut order: Vec<_> = lanes.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for lane in order {
            let title = format!(
                "round {} of {}: {}",
                round + 1,
                schedule.rounds,
                lane.row.label()
            );
            let sample = progress.step(&title, || lane.load(schedule.length), summary)?;
            lane.row.samples.push(sample);
        }
    }
    let rows: Result<Vec<Row>> = lanes.into_iter().map(Lane::finish).collect();
    Ok(Rows(rows?))
}

/// Returns how many steps this many rows take.
pub(crate) fn steps(rows: usize, schedule: &Schedule) -> usize {
    rows * (schedule.rounds + 1)
}

impl<'a> Lane<'a> {
    /// Starts the server of a row and loads it once.
    fn start(peers: &'a [Peer], planned: Planned, progress: &mut Progress) -> Result<Self> {
        let (id, connections) = planned;
        let mut row = Row {
            id: id.to_owned(),
            title: "the disk, one durable rename at a time".into(),
            connections,
            ..Row::default()
        };
        if id == DISK {
            let sample = progress.step("warm-up: the disk", || disk_sample(WARM_UP), summary);
            sample.map(|_| ())?;
            return Ok(Self {
                subject: Subject::Disk,
                row,
            });
        }
        let peer = peers.iter().find(|peer| peer.id == id);
        let peer = peer.with_context(|| format!("no server {id}"))?;
        row.title = peer.title.to_owned();
        let start = || {
            if peer.caches {
                // A process that has compiled keeps the memory that the compiler used.
                drop(Running::start(peer)?);
            }
            let mut server = Running::start(peer)?;
            let sample = server.load(connections, WARM_UP)?;
            anyhow::Ok((server, sample))
        };
        let title = format!("start and warm-up: {}", row.label());
        let (server, _) = progress.step(&title, start, |(_, sample)| summary(sample))?;
        let subject = Subject::Server(Box::new(server));
        Ok(Self { subject, row })
    }

    fn load(&mut self, length: Duration) -> Result<Sample> {
        match &mut self.subject {
            Subject::Server(server) => server.load(self.row.connections, length),
            Subject::Disk => disk_sample(length),
        }
    }

    fn finish(mut self) -> Result<Row> {
        if let Subject::Server(server) = self.subject {
            self.row.account = server.finish()?;
        }
        Ok(self.row)
    }
}

/// Measures the disk under the directory for temporary files, in which the volumes are.
fn disk_sample(length: Duration) -> Result<Sample> {
    let directory: &Path = &std::env::temp_dir();
    let syncs = disk::syncs(directory, length)?;
    Ok(Sample {
        rate: syncs.rate,
        p50_ms: Some(syncs.p50),
        p99_ms: Some(syncs.p99),
        ..Sample::default()
    })
}

/// Returns a sample in a few words.
pub(crate) fn summary(sample: &Sample) -> String {
    let mut text = format!("{:8.0}/s", sample.rate);
    if let Some(cpu) = sample.cpu_us {
        text += &format!("  {cpu:6.1} us");
    }
    if let Some(p99) = sample.p99_ms {
        text += &format!("  p99 {p99:6.2} ms");
    }
    if sample.errors > 0 {
        text += &format!("  {} errors", sample.errors);
    }
    text
}
