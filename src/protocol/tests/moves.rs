//! The moves that a schedule can make next, without those that [`super::explore`] reduces.

use super::bounds::Before;
use super::requests::Request;
use super::schedule::{Move, Schedule};
use super::*;
use crate::protocol::simulated::Call;

/// A call that nothing can affect once counting has started.
const UNAFFECTED: &str = "open_dir .visits";

impl Schedule<'_> {
    /// Returns the moves that are tried.
    pub(super) fn possible(&mut self) -> Vec<Move> {
        let left = self.left;
        let kinds = self.bounds.kinds;
        let faults = left.faults > 0;
        let mut moves = Vec::new();
        let goes_on = self.goes_on();
        let subjects = &self.subjects;
        let has_moved = |instance| {
            let mut moved = subjects.iter().filter(|it| it.moved);
            moved.any(|it| it.process.instance == instance)
        };
        let (pauses, first) = self.world.with(|state| {
            let calls = 0..state.under_way.len();
            let unaffected = calls
                .clone()
                .find(|&call| nothing_affects(&state.under_way[call], self.bounds.before));
            for call in calls {
                let instance = state.under_way[call].instance;
                if unaffected.is_some_and(|it| it != call) {
                    continue;
                }
                if faults && kinds.fail && (self.bounds.plain || has_moved(instance)) {
                    moves.push(Move::Fail(call));
                }
                let preempted = goes_on && Some(instance) != self.last;
                if unaffected.is_none() && preempted && left.preemptions == 0 {
                    continue;
                }
                moves.push(Move::Call(call));
                if faults && kinds.unheard && changes(&state.under_way[call].name) {
                    moves.push(Move::Unheard(call));
                }
                if left.lies > 0 && state.under_way[call].name.starts_with("rename") {
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
            let subject = &self.subjects[index];
            let busy = self.bounds.apart && Rc::strong_count(&subject.answers) > 1;
            let ripe = (subject.arrival || moves.is_empty()) && !busy;
            let left = |it: &Request| it.is_left(&subject.arrived, self.bounds);
            if ripe {
                let requests = Request::ALL.into_iter().filter(left);
                moves.extend(requests.map(|it| Move::Arrive(index, it)));
            }
        }
        // What is at rest is not worth a fault.
        if faults && !moves.is_empty() {
            if kinds.kill {
                let moved = |index: &usize| self.subjects[*index].moved;
                moves.extend((0..self.subjects.len()).filter(moved).map(Move::Kill));
            }
            if kinds.cut && self.changed {
                moves.push(Move::Cut);
            }
            if kinds.abort && self.changed {
                moves.push(Move::Abort);
            }
        }
        self.without_twins(moves)
    }

    /// Returns whether the instance that moved last could go on.
    pub(super) fn goes_on(&self) -> bool {
        self.world.with(|state| {
            let mut calls = state.under_way.iter();
            calls.any(|call| Some(call.instance) == self.last)
        })
    }

    /// Returns whether a move is of a call that nothing can affect.
    pub(super) fn is_unaffected(&self, next: Move) -> bool {
        let Move::Call(call) = next else { return false };
        let before = self.bounds.before;
        self.world
            .with(|state| nothing_affects(&state.under_way[call], before))
    }
}

/// Returns whether a call is one that nothing can affect.
fn nothing_affects(call: &Call, before: Before) -> bool {
    before.is_started() && &*call.name == UNAFFECTED
}

/// Returns whether a call of this name changes the volume.
fn changes(name: &str) -> bool {
    const READING: [&str; 4] = ["list", "modified", "open_dir", "read"];
    !READING.contains(&name.split(' ').next().unwrap_or(name))
}
