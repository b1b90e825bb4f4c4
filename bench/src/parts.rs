//! The parts of a run that are measured apart from the rounds, after them.

use crate::generators::{self, Generators};
use crate::open_loop::{self, OpenLoop};
use crate::peer::Peer;
use crate::plan::Choice;
use crate::progress::Progress;
use crate::rounds::{Schedule, summary};
use crate::row::Rows;
use crate::single::Single;
use crate::{instructions, start};
use anyhow::{Result, ensure};
use std::time::Duration;

/// The names of the parts in options.
const OPEN: &str = "open";
const GENERATORS: &str = "generators";
const START: &str = "start";
const INSTRUCTIONS: &str = "instructions";

/// The servers whose instructions are counted, with the names of their figures.
const COUNTED: [(&str, &str); 2] = [("visits", "instructions"), ("hello", "instructions-hello")];

/// How often the instructions are counted. Their spread shows how far the figure can be trusted.
const COUNTS: usize = 3;

/// How long a count takes on two cores, or the start before it.
const COUNT: Duration = Duration::from_secs(20);

/// The parts that are measured in a run.
pub(crate) struct Parts<'a> {
    peers: &'a [Peer],
    open: bool,
    generators: bool,
    start: bool,
    counted: Vec<(&'a Peer, &'static str)>,
}

impl<'a> Parts<'a> {
    /// Returns the parts that are chosen and can be measured here. Adds to `skipped` why others cannot.
    pub(crate) fn of(choice: &Choice, peers: &'a [Peer], skipped: &mut Vec<String>) -> Self {
        let mut can = |part: &str, missing: Option<String>| {
            let chosen = choice.has(part);
            if let Some(reason) = missing.as_ref().filter(|_| chosen) {
                println!("skipped: {reason}");
                skipped.push(reason.clone());
            }
            chosen && missing.is_none()
        };
        let open = can(OPEN, open_loop::missing());
        let generators = can(GENERATORS, generators::missing());
        let start = can(START, None);
        let counted = match can(INSTRUCTIONS, instructions::missing()) {
            true => counted(peers),
            false => Vec::new(),
        };
        Self {
            peers,
            open,
            generators,
            start,
            counted,
        }
    }

    /// Returns how many steps they take.
    pub(crate) fn steps(&self, schedule: &Schedule) -> usize {
        let open = usize::from(self.open) * (schedule.rounds + 1);
        let generators = schedule.rounds * Generators::titles().count() + 1;
        let generators = usize::from(self.generators) * generators;
        open + generators + usize::from(self.start) + self.counted.len() * (COUNTS + 1)
    }

    /// Returns about how long they take.
    pub(crate) fn estimate(&self, schedule: &Schedule) -> Duration {
        let generators = usize::from(self.generators) * Generators::titles().count();
        let loads = schedule.estimate(usize::from(self.open) + generators);
        let start = start::ESTIMATE * u32::from(self.start);
        let counts = self.counted.len() * (COUNTS + 1);
        loads + start + COUNT * u32::try_from(counts).unwrap_or(u32::MAX)
    }

    /// Measures them.
    pub(crate) fn run(
        &self,
        rows: &Rows,
        schedule: &Schedule,
        progress: &mut Progress,
    ) -> Result<Vec<Single>> {
        let mut singles = Vec::new();
        if self.open {
            singles.extend(self.open_loop(rows, schedule, progress)?);
        }
        if self.generators {
            singles.extend(self.compare_generators(schedule, progress)?);
        }
        if self.start {
            let title = format!("{} starts of the host", start::STARTS);
            let measured = progress.step(&title, start::measure, |single| {
                let median = single.as_ref().map_or(0.0, |single| single.value);
                format!("{median:8.1} ms")
            });
            singles.extend(measured?);
        }
        for (peer, id) in &self.counted {
            singles.extend(count(peer, id, progress)?);
        }
        Ok(singles)
    }

    fn open_loop(
        &self,
        rows: &Rows,
        schedule: &Schedule,
        progress: &mut Progress,
    ) -> Result<Vec<Single>> {
        let title = |what: &str| format!("requests at a fixed rate: {what}");
        let Some(peer) = self.counter() else {
            return Ok(Vec::new());
        };
        let start = || OpenLoop::start(peer, rows, schedule.length);
        let mut open = progress.step(&title("start"), start, |open| {
            format!("{:8.0}/s", open.rate())
        })?;
        for round in 0..schedule.rounds {
            let title = title(&format!("round {} of {}", round + 1, schedule.rounds));
            progress.step(&title, || open.load(schedule.length), summary)?;
        }
        let (singles, account) = open.finish()?;
        ensure!(
            account.lost() == Some(0),
            "the counter lost visits at a fixed rate: {account:?}"
        );
        Ok(singles)
    }

    fn compare_generators(
        &self,
        schedule: &Schedule,
        progress: &mut Progress,
    ) -> Result<Vec<Single>> {
        let Some(peer) = self.counter() else {
            return Ok(Vec::new());
        };
        let start = || Generators::start(peer);
        let title = "load generators: start";
        let mut all = progress.step(title, start, |_| String::new())?;
        for round in 1..=schedule.rounds {
            for (position, name) in Generators::titles() {
                let title = format!("{name}: round {round} of {}", schedule.rounds);
                progress.step(&title, || all.load(position, schedule.length), summary)?;
            }
        }
        let (singles, account) = all.finish()?;
        ensure!(
            account.lost() == Some(0)
                && account.unanswered() <= Some(generators::in_flight(schedule.rounds)),
            "the generators received other responses than the counter counted visits: {account:?}"
        );
        Ok(singles)
    }

    fn counter(&self) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == open_loop::SERVER)
    }
}

/// Returns the servers whose instructions are counted.
fn counted(peers: &[Peer]) -> Vec<(&Peer, &'static str)> {
    let of = |(server, id): &(&str, &'static str)| {
        let peer = peers.iter().find(|peer| peer.id == *server)?;
        Some((peer, *id))
    };
    COUNTED.iter().filter_map(of).collect()
}

fn count(peer: &Peer, id: &'static str, progress: &mut Progress) -> Result<Option<Single>> {
    let title = |what: &str| format!("instructions of {}: {what}", peer.title);
    let prepare = || instructions::prepare(peer);
    progress.step(&title("start"), prepare, |()| String::new())?;
    let mut counts = Vec::new();
    for number in 1..=COUNTS {
        let title = title(&format!("count {number} of {COUNTS}"));
        let count = || instructions::count(peer);
        counts.push(progress.step(&title, count, |count| format!("{count:8.0}"))?);
    }
    Ok(instructions::figure(id, peer, counts))
}
