//! Processes that differ by their names only: see [`super::explore`]. Of these, the first one moves first.

use super::schedule::{Move, Schedule};
use super::subject::Subject;

impl Subject {
    /// Returns whether the two processes can be exchanged.
    fn is_like(&self, other: &Self) -> bool {
        let what_may_follow = |it: &Self| (it.arrived, it.arrival, it.moved);
        self.untouched && other.untouched && what_may_follow(self) == what_may_follow(other)
    }
}

impl Schedule<'_> {
    /// Removes the moves of processes that can be exchanged with an earlier one.
    pub(super) fn without_twins(&self, mut moves: Vec<Move>) -> Vec<Move> {
        if self.bounds.plain {
            return moves;
        }
        let subjects = &self.subjects;
        let twin = |&index: &usize| {
            subjects[..index]
                .iter()
                .any(|it| it.is_like(&subjects[index]))
        };
        let twins: Vec<_> = (0..subjects.len()).filter(twin).collect();
        moves.retain(|it| !self.mover(*it).is_some_and(|it| twins.contains(&it)));
        moves
    }

    /// Returns the index of the process whose move it is; `None` if it is nobody's, or of one that was killed.
    fn mover(&self, it: Move) -> Option<usize> {
        let instance = match it {
            Move::Call(call) | Move::Fail(call) | Move::Lie(call) | Move::Unheard(call) => {
                self.world.with(|state| state.under_way[call].instance)
            }
            Move::Pause(instance) => instance,
            Move::Arrive(index, _) | Move::Kill(index) => return Some(index),
            Move::Cut | Move::Abort => return None,
        };
        let mut subjects = self.subjects.iter();
        subjects.position(|it| it.process.instance == instance)
    }
}
