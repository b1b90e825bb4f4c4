//! The search: every schedule of a scenario, depth first, on the counter's own code.
//!
//! # What is chosen
//! At each state of the world the search tries every move there is (`schedule::Move`):
//! - any call that is under way takes effect, or fails,
//! - a call that changes the volume takes effect and reports an I/O error,
//! - a rename takes effect and reports that it found nothing,
//! - a short pause ends, or a request arrives: a visit, or one that does not count,
//! - an instance is killed, and each of its calls that are under way vanishes or stays under way, to take effect at any later
//!   moment,
//! - the power goes, and the disk keeps any of what it may keep,
//! - the file system gives up its journal.
//!
//! What a listing shows during a change is a choice as well. All of them are made by one `Choices`, so a schedule is a list
//! of numbers. A violation prints it, and [`replay`] runs it again.
//!
//! # What is reduced, and why that is sound
//! 1. **States are merged.** Tasks are deterministic, so what an instance does next is a function of what it has observed:
//!    its arrivals, the results of its calls in order, and its pauses. Two schedules that lead to the same observations, the
//!    same disk, the same calls of dead instances, the same answers and the same faults left have the same continuations. The
//!    second one is cut off. This covers every exchange of two independent calls, without a list of which calls are
//!    independent. States are compared by a hash of 64 bits: with ten million states, the probability that one is taken for
//!    another is below one in 300 000.
//! 2. **Names depend on their maker only.** The random part of a name is a hash of the instance and of how many names it has
//!    drawn. So it does not tell who drew first. The same holds for the identity of a file.
//! 3. **What cannot matter any more is no part of a state**: what a power cut would bring back, if none can come; files
//!    without a name, and directories that were removed, which stay empty; the details behind moves that are used up. And a
//!    process at rest forgets what it has seen, except for what its counter keeps: see [`super::rest`].
//! 4. **Processes that differ by their names only are interchangeable**: none of their calls has taken effect, and each has
//!    started anew, or knows a ticket that is gone. Of these, the first one moves first.
//! 5. **Calls that nothing can affect come first**: once counting has started, opening the private directory reads what no move
//!    changes, and changes nothing. So no schedule is lost if it takes effect at once. A kill before it leaves the same
//!    world as a kill after it.
//! 6. **Moves that commute with what came before are made once, at the earliest moment.** A request's arrival commutes with the
//!    moves of other instances, unless somebody was answered. So does a kill, whose calls stay under way or vanish, and so
//!    does a call that fails and changes nothing. So each is tried after a move of its own instance only (an arrival also
//!    after an answer). A power cut after a move that changed nothing on the disk and answered nobody is the cut before it.
//!    What allows these moves is part of the state.
//!
//! Time is not part of a state. It matters at limits of 500 ms and more only, and the short pauses of a schedule are far from
//! that in sum, which is asserted.
//!
//! # What is bounded
//! [`Bounds`]: the instances, the requests, the faults, what is on the volume before, and
//! - whether an instance's requests come one after another,
//! - the order of names: if a listing shows two tickets of one number, the higher name is taken. Which of two names is higher
//!   is fixed.
//! - how many pauses end while a call is under way. Without that bound an instance could look again and again while a call of
//!   another takes for ever. If no call is under way, a pause ends at any time.
//! - in larger scenarios, how many preemptions there are: moves of one instance while the one that moved last could go on. All
//!   other moves are free: those of any instance once the last one has answered or waits, kills, power cuts, failed calls
//!   and arrivals. This is iterative context bounding, as in CHESS: it is no reduction but a bound. What it leaves out are
//!   faults that need more preemptions.
//!
//! # Why not a model checker
//! - loom and shuttle schedule threads at their own locks, atomics and channels. This counter has neither threads nor locks:
//!   it has calls on a disk, and a kill or a power cut is not a step of a thread. Their depth-first search merges no states.
//! - stateright merges states, and needs them to be values. A future is none, so the protocol would be written again as a
//!   model, and the model would be checked.
//!
//! What is left for this module is a loop over [`Script::next`], and a set of hashes.

use super::bounds::Bounds;
use super::schedule::Schedule;
use super::work::Work;
use super::{started, tickets};
use crate::protocol::simulated::choices::Script;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Mutex;
use std::thread;

/// What a search has done.
#[derive(Default)]
pub(super) struct Report {
    /// The schedules that ran to their end, or to a state that another one had reached.
    pub(super) schedules: u64,
    pub(super) states: usize,
    pub(super) moves: u64,
    pub(super) longest: u64,
    /// How schedules ended: what was acknowledged, the names on the volume, and what `visits.bin` held.
    pub(super) ends: BTreeSet<End>,
}

type End = (BTreeSet<u64>, Vec<String>, Option<u64>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            schedules,
            states,
            moves,
            longest,
            ends,
        } = self;
        let ends = ends.len();
        write!(
            f,
            "{schedules} schedules, {states} states, {ends} ends, {moves} moves, at most {longest} in a schedule"
        )
    }
}

/// How many schedules pass between two reports of a long search.
const PROGRESS: u64 = 100_000;

/// A search, which any number of threads share. The thread that reaches a state first follows what comes after it, or leaves some of
/// that to a thread that waits. So everything has been followed when all threads have ended.
struct Search<'a> {
    bounds: &'a Bounds,
    work: Work,
    visited: Mutex<HashSet<u64>>,
    report: Mutex<Report>,
    violation: Mutex<Option<String>>,
}

/// Runs every schedule within `bounds`, on this thread and `others` more.
///
/// # Errors
/// Returns the first schedule that violates a property.
pub(super) fn explore(bounds: &Bounds, others: usize) -> Result<Report, String> {
    let search = Search {
        bounds,
        work: Work::new(Script::default()),
        visited: Mutex::default(),
        report: Mutex::default(),
        violation: Mutex::default(),
    };
    thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| search.run());
        }
        search.run();
    });
    match search.violation.into_inner().unwrap() {
        None => Ok(search.report.into_inner().unwrap()),
        Some(violation) => Err(violation),
    }
}

impl Search<'_> {
    /// Runs schedules until there are no more.
    fn run(&self) {
        while let Some(taken) = self.work.take() {
            let mut script = Some(taken.script.clone());
            while let Some(next) = script.take()
                && !self.work.is_stopped()
            {
                let mut schedule = Schedule::new(self.bounds, next);
                let ended = self.follow(&mut schedule);
                self.note(&mut schedule, ended);
                let mut done = schedule.script(Script::clone);
                self.work.share(&mut done);
                script = done.next();
            }
        }
    }

    /// Follows a schedule to a state that another one has reached, or to its end. Returns whether it is the end.
    fn follow(&self, schedule: &mut Schedule) -> bool {
        while schedule.violated.is_none() {
            let new = schedule.script(Script::is_replayed);
            if new {
                let state = schedule.fingerprint();
                if !self.visited.lock().unwrap().insert(state) {
                    return false;
                }
            }
            if !schedule.step() {
                return true;
            }
        }
        false
    }

    /// Notes what a schedule has come to.
    fn note(&self, schedule: &mut Schedule, ended: bool) {
        let mut report = self.report.lock().unwrap();
        if ended {
            let names = match started(&schedule.world) {
                true => tickets(&schedule.world),
                false => Vec::new(),
            };
            let end = (schedule.acknowledged.clone(), names, schedule.published);
            report.ends.insert(end);
            schedule.end();
        }
        report.schedules += 1;
        report.moves += schedule.moves;
        report.longest = report.longest.max(schedule.moves);
        report.states = self.visited.lock().unwrap().len();
        if report.schedules.is_multiple_of(PROGRESS) {
            println!("so far: {report}");
        }
        if let Some(violation) = &schedule.violated {
            let picks = schedule.script(Script::picks);
            let picks: Vec<_> = picks.iter().map(u64::to_string).collect();
            let violation = format!(
                "{violation}\nafter {} schedules, by VISITS_SCHEDULE={}",
                report.schedules,
                picks.join(",")
            );
            self.violation.lock().unwrap().get_or_insert(violation);
            self.work.stop();
        }
    }
}

/// Runs one schedule, and prints it. Returns what it violates.
pub(super) fn replay(bounds: &Bounds, picks: &[u64]) -> Option<String> {
    let mut schedule = Schedule::new(bounds, Script::replay(picks));
    schedule.printed = true;
    while schedule.violated.is_none() && schedule.step() {}
    if schedule.violated.is_none() {
        schedule.end();
    }
    schedule.violated
}
