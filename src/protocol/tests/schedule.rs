//! One schedule of a search: the world, the processes in it, and what each move does.

use super::bounds::{Before, Bounds, ORIGINAL};
use super::requests::Request;
use super::subject::Subject;
use super::*;
use crate::protocol::directory::FsErrorKind;
use crate::protocol::simulated::choices::{Choices, Script};
use std::collections::BTreeSet;
use std::time::Duration;

/// A step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// The call at this index takes effect.
    Call(usize),
    /// The call at this index fails.
    Fail(usize),
    /// The rename at this index takes effect, and reports that it found nothing.
    Lie(usize),
    /// The call at this index takes effect, and reports an I/O error.
    Unheard(usize),
    /// The pause of an instance ends.
    Pause(InstanceId),
    /// A request arrives at the process of this index.
    Arrive(usize, Request),
    /// The process of this index is killed, and another one starts.
    Kill(usize),
    /// The power goes, and all processes start again.
    Cut,
    /// The file system gives up its journal.
    Abort,
}

/// Below every limit of the protocol.
const SHORT: Duration = Duration::from_millis(400);

/// More steps than a schedule has that ends.
const ENDLESS: u64 = 2_000;

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
    /// What `visits.bin` held after the last move; `None` after a power cut.
    pub(super) published: Option<u64>,
    pub(super) violated: Option<String>,
    /// The instance that moved last, unless it was killed.
    pub(super) last: Option<InstanceId>,
    /// Whether the last move changed the disk, or somebody was answered.
    pub(super) changed: bool,
    /// How many moves were made.
    pub(super) moves: u64,
    /// Whether each move is printed.
    pub(super) printed: bool,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) faults: usize,
    pub(super) lies: usize,
    pub(super) hasty: usize,
    pub(super) preemptions: usize,
    /// Whether every request so far was bound to succeed.
    pub(super) sound: bool,
    /// Whether the power has gone.
    pub(super) cut: bool,
}

/// Makes what is on the volume before the first visit, durably. Returns the count.
fn prepare(world: &World, processes: &mut [Process], before: Before) -> u64 {
    let counting = match before {
        Before::Counted => processes.len(),
        Before::Elsewhere => 1,
        Before::Nothing => 0,
        Before::Original => {
            set_visits_bin_durably(world, &ORIGINAL);
            return ORIGINAL[0].into();
        }
    };
    for process in &mut processes[..counting] {
        process.visitors(1);
        process.finish(world);
    }
    if before == Before::Elsewhere {
        processes[0] = Process::start(world);
    }
    world.with(|state| {
        state.disk.sync(ROOT).unwrap();
        let synced = state.disk.sync_file(ROOT, record::FILE);
        assert_eq!(synced.is_ok(), counting > 0);
    });
    counting as u64
}

impl<'a> Schedule<'a> {
    /// Returns a schedule at its beginning.
    pub(super) fn new(bounds: &'a Bounds, script: Script) -> Self {
        // Everything before the first choice runs in one order.
        let world = World::with_choices(Choices::Scripted(Script::default()));
        let mut processes = Process::start_many(&world, bounds.instances);
        let base = prepare(&world, &mut processes, bounds.before);
        world.with(|state| state.choices = Choices::Scripted(script));
        let subject = |(index, process)| Subject::new(index, process);
        let subjects = processes.into_iter().enumerate().map(subject).collect();
        let left = Left {
            faults: bounds.faults,
            lies: bounds.lies,
            hasty: bounds.hasty,
            preemptions: bounds.preemptions,
            sound: true,
            cut: false,
        };
        let mut schedule = Schedule {
            world,
            subjects,
            bounds,
            left,
            base,
            sent: 0,
            acknowledged: BTreeSet::new(),
            floor: base,
            published: None,
            violated: None,
            last: None,
            changed: false,
            moves: 0,
            printed: false,
        };
        for subject in &schedule.subjects {
            subject.begin(&schedule.world);
        }
        if bounds.before == Before::Counted {
            // It knows the ticket. The others know one that is gone.
            schedule.subjects[bounds.instances - 1].untouched = false;
        }
        // The first visitor of each instance is there from the beginning. Its first call may take effect at any time.
        for index in 0..bounds.instances {
            schedule.arrive(index, Request::Visit);
        }
        schedule
    }

    /// Prints a line of this schedule, if it is to be printed.
    pub(super) fn print(&self, line: impl FnOnce() -> String) {
        if self.printed {
            println!("{}", line());
        }
    }

    pub(super) fn script<T>(&self, f: impl FnOnce(&Script) -> T) -> T {
        self.world.with(|state| match &state.choices {
            Choices::Scripted(script) => f(script),
            Choices::Random(_) | Choices::Taped => unreachable!("a schedule has a script"),
        })
    }

    /// Returns whether what is not durable can be lost.
    pub(super) fn may_be_cut(&self) -> bool {
        let kinds = self.bounds.kinds;
        let power = self.left.faults > 0 && (kinds.cut || kinds.abort);
        power || self.world.with(|state| state.disk.aborted)
    }

    /// Makes one move. Returns `false` if there is none.
    pub(super) fn step(&mut self) -> bool {
        let moves = self.possible();
        if moves.is_empty() {
            return false;
        }
        let pick = self.world.with(|state| state.below(moves.len() as u64));
        self.moves += 1;
        let before = (
            self.world.with(|state| state.disk.changes()),
            self.acknowledged.len(),
        );
        let next = moves[pick as usize];
        let unaffected = self.is_unaffected(next);
        let mover = self.make(next);
        for subject in &mut self.subjects {
            self.world.poll(&mut subject.process.pool);
        }
        self.check();
        self.forget();
        let after = (
            self.world.with(|state| state.disk.changes()),
            self.acknowledged.len(),
        );
        let answered = before.1 != after.1;
        self.changed = before != after;
        let arrived = matches!(next, Move::Arrive(..));
        for subject in &mut self.subjects {
            let moved = Some(subject.process.instance) == mover;
            subject.untouched &= !moved || arrived || unaffected;
            // What the others may do now was not tried before a call that goes first.
            subject.moved = moved || unaffected && subject.moved;
            subject.arrival = moved || answered || unaffected && subject.arrival;
        }
        if self.moves > ENDLESS || self.world.now() > SHORT {
            self.violated = Some("the schedule does not end".into());
        }
        true
    }

    /// Makes a move. Returns the instance that moved.
    fn make(&mut self, next: Move) -> Option<InstanceId> {
        match next {
            Move::Call(call) | Move::Fail(call) | Move::Lie(call) | Move::Unheard(call) => {
                let goes_on = self.goes_on();
                let unaffected = self.is_unaffected(next);
                let (instance, name) = self.world.with(|state| {
                    match next {
                        Move::Fail(_) => state.one_fault = Some(("", FsErrorKind::Io)),
                        Move::Lie(_) => state.one_lie = Some(FsErrorKind::NotFound),
                        Move::Unheard(_) => state.one_lie = Some(FsErrorKind::Io),
                        _ => {}
                    }
                    state.take_effect(call)
                });
                let failed = matches!(next, Move::Fail(_));
                if !unaffected && !failed && self.bounds.preemptions != usize::MAX {
                    let preempts = goes_on && self.last != Some(instance);
                    self.left.preemptions -= usize::from(preempts);
                    self.last = Some(instance);
                }
                let unheard = matches!(next, Move::Unheard(_));
                self.left.faults -= usize::from(failed || unheard);
                self.left.lies -= usize::from(matches!(next, Move::Lie(_)));
                self.left.sound &= !failed && !unheard;
                let suffix = match next {
                    Move::Fail(_) => ", and fails",
                    Move::Lie(_) => ", and reports that it found nothing",
                    Move::Unheard(_) => ", and reports an error",
                    _ => "",
                };
                self.print(|| format!("{instance}: {name}{suffix}"));
                Some(instance)
            }
            Move::Pause(instance) => {
                let calls = self.world.with(|state| {
                    state.end_pause(Some(instance));
                    state.under_way.len()
                });
                self.left.hasty -= usize::from(calls > 0);
                self.print(|| format!("{instance}: a pause ends"));
                Some(instance)
            }
            Move::Arrive(index, request) => {
                self.arrive(index, request);
                Some(self.subjects[index].process.instance)
            }
            Move::Kill(index) => {
                self.left.faults -= 1;
                self.last = None;
                self.kill(index);
                Some(self.subjects[index].process.instance)
            }
            Move::Cut => {
                self.left.faults -= 1;
                self.last = None;
                self.cut_power();
                None
            }
            Move::Abort => {
                self.left.faults -= 1;
                self.left.sound = false;
                self.world.with(|state| state.disk.aborted = true);
                self.print(|| "the journal is given up".into());
                None
            }
        }
    }

    fn restart(&mut self, index: usize) -> InstanceId {
        let subject = &mut self.subjects[index];
        let instance = subject.process.instance;
        subject.restart(Process::start(&self.world));
        subject.begin(&self.world);
        instance
    }

    /// Cuts the power. All processes start again.
    pub(super) fn cut_power(&mut self) {
        for index in 0..self.subjects.len() {
            self.restart(index);
        }
        self.world.cut_power();
        (self.floor, self.published, self.left.cut) = (self.base, None, true);
        self.print(|| "the power goes".into());
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
        self.print(|| format!("{instance}: killed"));
    }
}
