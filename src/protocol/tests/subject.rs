//! A process of a schedule: see [`super::schedule`].

use super::requests::{Answer, Arrived};
use super::*;

/// The answers of a process: the highest number that was acknowledged when the request arrived, and its outcome.
pub(super) type Answers = Rc<RefCell<Vec<(u64, Result<Answer, String>)>>>;

/// A process, and what may happen to it next.
pub(super) struct Subject {
    index: usize,
    pub(super) process: Process,
    /// How often it has been started again.
    restarts: usize,
    /// Whether none of its calls has taken effect, so that it differs from other such processes by its name only.
    pub(super) untouched: bool,
    /// Whether it has moved, or somebody was answered, since a request could last arrive here.
    pub(super) arrival: bool,
    /// Whether it was the last to move.
    pub(super) moved: bool,
    pub(super) answers: Answers,
    pub(super) arrived: Arrived,
}

impl Subject {
    /// Returns a process to which nobody has come yet.
    pub(super) fn new(index: usize, process: Process) -> Self {
        Subject {
            index,
            process,
            restarts: 0,
            untouched: true,
            arrival: true,
            moved: false,
            answers: Answers::default(),
            arrived: Arrived::default(),
        }
    }

    /// Replaces the process by a new one.
    pub(super) fn restart(&mut self, process: Process) {
        *self = Subject {
            restarts: self.restarts + 1,
            arrived: self.arrived,
            ..Subject::new(self.index, process)
        };
    }

    /// Lets the process begin, under an identity that does not depend on what happened to the others.
    pub(super) fn begin(&self, world: &World) {
        let identity = (self.index, self.restarts);
        world.with(|state| state.history.observed[self.process.instance].begin(identity));
    }
}
