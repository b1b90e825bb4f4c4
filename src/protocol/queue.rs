//! The queue of one instance's visitors, and whether somebody leads it.
//!
//! A visitor takes a seat and waits at a gate. The leader takes everyone who waits, leaves an outcome at each seat and
//! opens the gate. If the leader is dropped, the queue calls the first visitor who still waits to lead.

use super::error::SharedError;
use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

/// The visitors who wait, in the order of their arrival.
pub(super) struct Queue<O> {
    pub(super) waiting: RefCell<Vec<Waiting<O>>>,
    /// Whether somebody leads, or was called to.
    pub(super) led: Cell<bool>,
    /// Opens the gate of a leader who waits for visitors.
    pub(super) arrival: RefCell<Option<O>>,
}

/// The leader's end of a seat. Dropping it drops the opener, which opens the visitor's gate.
pub(super) struct Waiting<O> {
    slot: Rc<Slot>,
    _opener: O,
}

/// The visitor's end of a seat. A visitor who was called to lead, and leaves instead, calls the next.
pub(super) struct Seat<'q, O> {
    queue: &'q Queue<O>,
    slot: Rc<Slot>,
}

/// The place where the leader leaves an outcome.
#[derive(Default)]
struct Slot(RefCell<Option<Outcome>>);

/// What became of a visitor.
pub(super) enum Outcome {
    /// The visit was counted, as this number.
    Counted(u64),
    /// The visit was refused.
    Failed(SharedError),
    /// The leader is gone: queue again and lead.
    Lead,
}

impl<O> Default for Queue<O> {
    fn default() -> Self {
        Queue {
            waiting: RefCell::default(),
            led: Cell::new(false),
            arrival: RefCell::default(),
        }
    }
}

impl<O> Queue<O> {
    /// Makes the caller the leader if nobody leads. Returns whether it did.
    pub(super) fn start_leading(&self) -> bool {
        !self.led.replace(true)
    }

    /// Leaves the queue without a leader.
    pub(super) fn stop_leading(&self) {
        self.led.set(false);
    }

    /// Adds a visitor, whose gate `opener` opens.
    pub(super) fn join(&self, opener: O) -> Seat<'_, O> {
        let slot = Rc::new(Slot::default());
        self.waiting.borrow_mut().push(Waiting {
            slot: slot.clone(),
            _opener: opener,
        });
        drop(self.arrival.take());
        Seat { queue: self, slot }
    }

    /// Opens a gate with `opener` when the next visitor is there.
    pub(super) fn open_on_arrival(&self, opener: O) {
        self.arrival.replace(Some(opener));
    }

    /// Returns whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Takes everyone who waits.
    pub(super) fn take(&self) -> Vec<Waiting<O>> {
        mem::take(&mut *self.waiting.borrow_mut())
    }

    /// Calls the first visitor who still waits to lead. If there is none, nobody leads.
    pub(super) fn hand_on(&self) {
        loop {
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                if waiting.is_empty() {
                    self.led.set(false);
                    return;
                }
                waiting.remove(0)
            };
            // A visitor who left has dropped its end of the seat.
            if Rc::strong_count(&next.slot) > 1 {
                next.leave(Outcome::Lead);
                return;
            }
        }
    }
}

impl<O> Waiting<O> {
    /// Lets the visitor go with an outcome.
    pub(super) fn leave(self, outcome: Outcome) {
        self.slot.0.replace(Some(outcome));
    }
}

impl<O> Seat<'_, O> {
    /// Takes the outcome; `None` if the gate opened without one.
    pub(super) fn take(&self) -> Option<Outcome> {
        self.slot.0.take()
    }
}

impl<O> Drop for Seat<'_, O> {
    fn drop(&mut self) {
        if matches!(self.take(), Some(Outcome::Lead)) {
            self.queue.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Queue};

    #[test]
    fn the_first_visitor_who_still_waits_is_called_to_lead() {
        let queue = Queue::default();
        assert!(queue.start_leading());
        let [gone, first, second] = [(); 3].map(|()| queue.join(()));
        drop(gone);
        queue.hand_on();
        assert!(matches!(first.take(), Some(Outcome::Lead)));
        assert!(second.take().is_none());
        assert!(!queue.start_leading(), "the first visitor leads");
    }

    #[test]
    fn nobody_leads_if_everybody_has_left() {
        let queue = Queue::default();
        assert!(queue.start_leading());
        drop(queue.join(()));
        queue.hand_on();
        assert!(queue.start_leading());
    }
}
