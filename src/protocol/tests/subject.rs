//! A process of a schedule: see [`super::schedule`].

use super::*;

/// The answers of a process: the highest number that was acknowledged when the visitor arrived, and the visitor's outcome.
pub(super) type Answers = Rc<RefCell<Vec<(u64, Result<u64, String>)>>>;

/// A process, and what may happen to it next.
pub(super) struct Subject {
    pub(super) process: Process,
    /// Whether it has moved, or somebody was answered, since a visitor could last arrive here.
    pub(super) arrival: bool,
    /// Whether it was the last to move.
    pub(super) moved: bool,
    pub(super) answers: Answers,
    /// How many visitors have come.
    pub(super) arrived: usize,
}

impl Subject {
    /// Returns a process to which nobody has come yet.
    pub(super) fn new(process: Process) -> Self {
        Subject {
            process,
            arrival: true,
            moved: false,
            answers: Answers::default(),
            arrived: 0,
        }
    }
}
