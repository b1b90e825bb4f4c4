//! The schedules of a search that wait for a thread.

use crate::protocol::simulated::choices::Script;
use std::sync::{Condvar, Mutex, MutexGuard};

/// What the threads of a search share out.
pub(super) struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<Script>,
    /// How many threads run schedules.
    busy: usize,
    /// How many threads wait for schedules.
    idle: usize,
    stopped: bool,
}

/// A script that a thread has taken, with all that come after it. It is done when this is dropped.
pub(super) struct Taken<'a> {
    pub(super) script: Script,
    work: &'a Work,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.work.state().busy -= 1;
        self.work.changed.notify_all();
    }
}

impl Work {
    /// Returns work that begins with one script.
    pub(super) fn new(first: Script) -> Self {
        Work {
            state: Mutex::new(State {
                waiting: vec![first],
                busy: 0,
                idle: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits for a script. Returns `None` when all are done.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        let mut state = self.state();
        state.idle += 1;
        let nothing = |state: &mut State| state.waiting.is_empty() && state.busy > 0;
        let mut state = self.changed.wait_while(state, nothing).unwrap();
        state.idle -= 1;
        let script = state.waiting.pop().filter(|_| !state.stopped)?;
        state.busy += 1;
        Some(Taken { script, work: self })
    }

    /// Leaves what comes after a script to a thread that waits, if there is one.
    pub(super) fn share(&self, script: &mut Script) {
        let mut state = self.state();
        if state.idle > state.waiting.len() {
            state.waiting.extend(script.split());
            self.changed.notify_all();
        }
    }

    /// Ends the search.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }
}
