//! The search: every schedule of a scenario, depth first, on the counter's own code.
//!
//! # What is chosen
//! At each state of the world the search tries every move there is ([`Move`]): any call that is under way takes effect, or
//! fails; a rename takes effect and reports that it found nothing; a short pause ends; a visitor arrives; an instance is
//! killed, and each of its calls that are under way vanishes or stays under way, to take effect at any later moment; the
//! power goes, and the disk keeps any of what it may keep. What a listing shows during a change is a choice as well. All of
//! them are made by one [`Choices`], so a schedule is a list of numbers. A violation prints it, and [`replay`] runs it again.
//!
//! # What is reduced, and why that is sound
//! 1. **States are merged.** Tasks are deterministic, so what an instance does next is a function of what it has observed:
//!    its arrivals, the results of its calls in order, and its pauses. Two schedules that lead to the same observations, the
//!    same disk (with what a power cut may leave of it), the same calls of dead instances, the same answers and the same
//!    faults left have the same continuations. The second one is cut off. This covers every exchange of two independent
//!    calls, without a list of which calls are independent. States are compared by a hash of 64 bits: with ten million
//!    states, the probability that one is taken for another is below one in 300 000.
//! 2. **Instances are interchangeable.** They run the same code, and names are drawn from one counter. So a state is the
//!    *set* of its instances.
//! 3. **Calls that nothing can affect come first**: opening the private directory reads what no move of these scenarios
//!    changes, and changes nothing. So no schedule is lost if it takes effect at once. A kill before it leaves the same
//!    world as a kill after it.
//!
//! Time is not part of a state. It matters at limits of 500 ms and more only, and the short pauses of a schedule are far from
//! that in sum, which is asserted.
//!
//! # What is bounded
//! [`Bounds`]: the instances, the visits, the faults, and how many pauses end while a call is under way. A pause ends at any
//! time otherwise. Without that bound an instance could look again and again while a call of another takes for ever. There
//! is no bound on preemptions.
//!
//! # Why not a model checker
//! - loom and shuttle schedule threads at their own locks, atomics and channels. This counter has neither threads nor locks:
//!   it has calls on a disk, and a kill or a power cut is not a step of a thread. Their depth-first search merges no states.
//! - stateright merges states, and needs them to be values. A future is none, so the protocol would be written again as a
//!   model, and the model would be checked.
//!
//! What is left for this module is a loop over [`Script::next`], and a set of hashes.

use super::*;
use crate::protocol::directory::FsErrorKind;
use crate::protocol::simulated::choices::{Choices, Script};
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// What a search includes.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Bounds {
    pub(super) instances: usize,
    /// The visits that are sent to each instance, each at any moment.
    pub(super) visits: usize,
    /// How many kills, power cuts and failed calls there are, together.
    pub(super) faults: usize,
    pub(super) kinds: Kinds,
    /// How many renames take effect and report that they found nothing.
    pub(super) lies: usize,
    /// How many short pauses end while calls are under way.
    pub(super) hasty: usize,
    /// Whether each instance has counted before, so that it knows the ticket.
    pub(super) warm: bool,
    /// Whether `visits.bin` may be behind what was acknowledged for a moment, and must not be at rest only.
    pub(super) lenient: bool,
}

/// The kinds of faults that a search includes.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Kinds {
    pub(super) kill: bool,
    pub(super) cut: bool,
    pub(super) fail: bool,
}

/// What a search has done.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The schedules that ran to their end, or to a state that another one had reached.
    pub(super) schedules: u64,
    pub(super) states: usize,
    pub(super) moves: u64,
    pub(super) longest: usize,
}

/// A step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// The call at this index takes effect.
    Call(usize),
    /// The call at this index fails.
    Fail(usize),
    /// The rename at this index takes effect, and reports that it found nothing.
    Lie(usize),
    /// The pause of an instance ends.
    Pause(InstanceId),
    /// A visitor arrives at the process of this index.
    Arrive(usize),
    /// The process of this index is killed, and another one starts.
    Kill(usize),
    /// The power goes, and all processes start again.
    Cut,
}

/// A call that nothing can affect in these scenarios.
const UNAFFECTED: &str = "open_dir .visits";

/// Below every limit of the protocol.
const SHORT: Duration = Duration::from_millis(400);

/// More steps than a schedule has that ends.
const ENDLESS: usize = 2_000;

/// The answers of a process: the highest number that was acknowledged when the visitor arrived, and the visitor's outcome.
pub(super) type Answers = Rc<RefCell<Vec<(u64, Result<u64, String>)>>>;

pub(super) struct Subject {
    pub(super) process: Process,
    pub(super) answers: Answers,
    arrived: usize,
}

/// One schedule.
pub(super) struct Schedule<'a> {
    pub(super) world: World,
    pub(super) subjects: Vec<Subject>,
    pub(super) bounds: &'a Bounds,
    pub(super) left: Left,
    /// The count before the first visit.
    pub(super) base: u64,
    pub(super) sent: u64,
    pub(super) acknowledged: BTreeSet<u64>,
    /// The highest number that was acknowledged since the last power cut.
    pub(super) floor: u64,
    pub(super) violated: Option<String>,
    pub(super) trace: Vec<String>,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) faults: usize,
    pub(super) lies: usize,
    hasty: usize,
    /// Whether every request so far was bound to succeed.
    pub(super) sound: bool,
}

/// Runs every schedule within `bounds`.
///
/// # Errors
/// Returns the first schedule that violates a property.
pub(super) fn explore(bounds: &Bounds) -> Result<Report, String> {
    let mut visited = HashSet::new();
    let mut report = Report::default();
    let mut script = Some(Script::default());
    while let Some(next) = script {
        let mut schedule = Schedule::new(bounds, next);
        let mut ended = false;
        while schedule.violated.is_none() && !ended {
            let new = schedule.script(Script::is_replayed);
            if new && !visited.insert(schedule.fingerprint()) {
                break;
            }
            ended = !schedule.step();
            report.moves += 1;
        }
        if ended {
            schedule.end();
        }
        report.schedules += 1;
        report.longest = report.longest.max(schedule.trace.len());
        if let Some(violation) = &schedule.violated {
            let picks = schedule.script(Script::picks);
            let picks: Vec<_> = picks.iter().map(u64::to_string).collect();
            return Err(format!(
                "{violation}\nafter {} schedules, by VISITS_SCHEDULE={}:\n  {}",
                report.schedules,
                picks.join(","),
                schedule.trace.join("\n  ")
            ));
        }
        script = schedule.script(|script| script.clone()).next();
    }
    report.states = visited.len();
    Ok(report)
}

/// Runs one schedule. Returns what it violates.
pub(super) fn replay(bounds: &Bounds, picks: &[u64]) -> Option<String> {
    let mut schedule = Schedule::new(bounds, Script::replay(picks));
    while schedule.violated.is_none() && schedule.step() {}
    if schedule.violated.is_none() {
        schedule.end();
    }
    println!("{}", schedule.trace.join("\n"));
    schedule.violated
}

impl<'a> Schedule<'a> {
    fn new(bounds: &'a Bounds, script: Script) -> Self {
        // Everything before the first choice runs in one order.
        let world = World::with_choices(Choices::Scripted(Script::default()));
        let mut processes = Process::start_many(&world, bounds.instances);
        let warm = if bounds.warm { bounds.instances } else { 1 };
        for process in &mut processes[..warm] {
            process.visitors(1);
            process.finish(&world);
        }
        if !bounds.warm {
            processes[0] = Process::start(&world);
        }
        world.with(|state| {
            state.choices = Choices::Scripted(script);
            state.disk.sync(ROOT).unwrap();
            state.disk.sync_file(ROOT, record::FILE).unwrap();
            state.history.observed.fill(0);
        });
        let subjects = processes.into_iter().map(Subject::new).collect();
        let left = Left {
            faults: bounds.faults,
            lies: bounds.lies,
            hasty: bounds.hasty,
            sound: true,
        };
        let base = warm as u64;
        let mut schedule = Schedule {
            world,
            subjects,
            bounds,
            left,
            base,
            sent: 0,
            acknowledged: BTreeSet::new(),
            floor: base,
            violated: None,
            trace: Vec::new(),
        };
        // The first visitor of each instance is there from the beginning. Its first call may take effect at any time.
        for index in 0..bounds.instances {
            schedule.arrive(index);
        }
        schedule
    }

    fn script<T>(&self, f: impl FnOnce(&Script) -> T) -> T {
        self.world.with(|state| match &state.choices {
            Choices::Scripted(script) => f(script),
            Choices::Random(_) => unreachable!("a schedule has a script"),
        })
    }

    /// Returns a hash of everything that decides what can follow.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.world.with(|state| {
            let observed = &state.history.observed;
            let alive = self.subjects.iter().map(|it| it.process.instance);
            let mut instances: Vec<_> = alive.clone().map(|it| observed[it]).collect();
            instances.sort_unstable();
            let late = state.under_way.iter();
            let late = late.filter(|call| !alive.clone().any(|it| it == call.instance));
            let mut late: Vec<_> = late.map(|it| (observed[it.instance], &it.name)).collect();
            late.sort_unstable();
            (instances, late).hash(&mut hasher);
            state.disk.hash(&mut hasher);
            state.choices.names().hash(&mut hasher);
        });
        (&self.acknowledged, self.floor, self.sent, self.left).hash(&mut hasher);
        hasher.finish()
    }

    fn moves(&mut self) -> Vec<Move> {
        let left = self.left;
        let kinds = self.bounds.kinds;
        let faults = left.faults > 0;
        let mut moves = Vec::new();
        let (pauses, first) = self.world.with(|state| {
            let calls = 0..state.under_way.len();
            let unaffected = calls
                .clone()
                .find(|&call| &*state.under_way[call].name == UNAFFECTED);
            for call in calls {
                if unaffected.is_some_and(|it| it != call) {
                    continue;
                }
                moves.push(Move::Call(call));
                if faults && kinds.fail {
                    moves.push(Move::Fail(call));
                }
                if left.lies > 0 && state.under_way[call].name.starts_with("rename ticket.") {
                    moves.push(Move::Lie(call));
                }
            }
            (state.short_pauses(), unaffected.is_some())
        });
        if first {
            return moves;
        }
        if moves.is_empty() || left.hasty > 0 {
            moves.extend(pauses.into_iter().map(Move::Pause));
        }
        for index in 0..self.subjects.len() {
            if self.subjects[index].arrived < self.bounds.visits {
                moves.push(Move::Arrive(index));
            }
        }
        // What is at rest is not worth a fault.
        if faults && !moves.is_empty() {
            if kinds.kill {
                moves.extend((0..self.subjects.len()).map(Move::Kill));
            }
            if kinds.cut {
                moves.push(Move::Cut);
            }
        }
        moves
    }

    /// Makes one move. Returns `false` if there is none.
    fn step(&mut self) -> bool {
        let moves = self.moves();
        if moves.is_empty() {
            return false;
        }
        let pick = self.world.with(|state| state.below(moves.len() as u64));
        self.make(moves[pick as usize]);
        for subject in &mut self.subjects {
            self.world.poll(&mut subject.process.pool);
        }
        self.check();
        if self.trace.len() > ENDLESS || self.world.now() > SHORT {
            self.violated = Some("the schedule does not end".into());
        }
        true
    }

    fn make(&mut self, next: Move) {
        match next {
            Move::Call(call) | Move::Fail(call) | Move::Lie(call) => {
                let text = self.world.with(|state| {
                    let it = &state.under_way[call];
                    let text = format!("{}: {}", it.instance, it.name);
                    match next {
                        Move::Fail(_) => state.one_fault = Some(("", FsErrorKind::Io)),
                        Move::Lie(_) => state.one_lie = true,
                        _ => {}
                    }
                    state.take_effect(call);
                    text
                });
                self.left.faults -= usize::from(matches!(next, Move::Fail(_)));
                self.left.lies -= usize::from(matches!(next, Move::Lie(_)));
                self.left.sound &= !matches!(next, Move::Fail(_));
                let suffix = match next {
                    Move::Fail(_) => ", and fails",
                    Move::Lie(_) => ", and reports that it found nothing",
                    _ => "",
                };
                self.trace.push(text + suffix);
            }
            Move::Pause(instance) => {
                let calls = self.world.with(|state| {
                    state.end_pause(Some(instance));
                    state.under_way.len()
                });
                self.left.hasty -= usize::from(calls > 0);
                self.trace.push(format!("{instance}: a pause ends"));
            }
            Move::Arrive(index) => self.arrive(index),
            Move::Kill(index) => {
                self.left.faults -= 1;
                self.kill(index);
            }
            Move::Cut => {
                self.left.faults -= 1;
                for index in 0..self.subjects.len() {
                    self.restart(index);
                }
                self.world.cut_power();
                self.floor = self.base;
                self.trace.push("the power goes".into());
            }
        }
    }

    fn arrive(&mut self, index: usize) {
        let highest = self.acknowledged.last().copied().unwrap_or(self.base);
        let subject = &mut self.subjects[index];
        subject.arrived += 1;
        self.sent += 1;
        let instance = subject.process.instance;
        let arrival = ("a visitor arrives", highest);
        self.world
            .with(|state| state.history.observe(instance, &arrival));
        let (counter, answers) = (subject.process.counter.clone(), subject.answers.clone());
        let visit = async move {
            let number = counter.visit().await.map_err(|e| e.to_string());
            answers.borrow_mut().push((highest, number));
        };
        subject.process.pool.spawner().spawn_local(visit).unwrap();
        self.world.poll(&mut subject.process.pool);
        self.trace.push(format!("{instance}: a visitor arrives"));
    }

    fn restart(&mut self, index: usize) -> InstanceId {
        let arrived = self.subjects[index].arrived;
        let instance = self.subjects[index].process.instance;
        let mut subject = Subject::new(Process::start(&self.world));
        subject.arrived = arrived;
        self.world.with(|state| {
            let started = ("started after", arrived);
            state.history.observe(subject.process.instance, &started);
        });
        self.subjects[index] = subject;
        instance
    }

    fn kill(&mut self, index: usize) {
        let instance = self.restart(index);
        self.world.with(|state| {
            for call in (0..state.under_way.len()).rev() {
                if state.under_way[call].instance == instance && state.below(2) == 1 {
                    state.under_way.remove(call);
                }
            }
        });
        self.trace.push(format!("{instance}: killed"));
    }
}

impl Subject {
    fn new(process: Process) -> Self {
        Subject {
            process,
            answers: Answers::default(),
            arrived: 0,
        }
    }
}
