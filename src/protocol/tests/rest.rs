//! What is left of a process at rest: when nobody waits for it and it waits for no call.
//!
//! What it has seen before matters no more, except by what is in its counter, the files that it has open, and what it pauses
//! for. So the search forgets the rest: see [`super::explore`]. A field that is added to the counter must be added here, which
//! the compiler asks for.

use super::schedule::Schedule;
use super::*;
use crate::protocol::claim::Claims;
use crate::protocol::inner::Inner;
use crate::protocol::publish::Publisher;
use crate::protocol::queue::Queue;
use crate::protocol::simulated::observed::hash;
use crate::protocol::stall::Stall;
use crate::protocol::start::Starter;
use crate::protocol::volume::Volume;

impl Schedule<'_> {
    /// Lets each process at rest forget what it has seen.
    pub(super) fn forget(&mut self) {
        if self.bounds.plain {
            return;
        }
        for subject in &self.subjects {
            let Process {
                counter, instance, ..
            } = &subject.process;
            let waited_for = Rc::strong_count(&subject.answers) > 1;
            self.world.with(|state| {
                let calls = state.under_way.iter().any(|it| it.instance == *instance);
                if waited_for || calls {
                    return;
                }
                if let Some(left) = left(counter) {
                    let left = ("at rest", left, state.pauses_of(*instance));
                    state.history.observed[*instance].forget(&left);
                }
            });
        }
    }
}

/// Returns a hash of what a counter keeps between requests; `None` if there is more to do.
fn left(counter: &Counter<Simulated>) -> Option<u64> {
    let Inner {
        platform: _,
        observer: _,
        volume,
        publisher,
        claims,
        queue,
        stall: Stall(overdue),
    } = &*counter.0;
    let Volume {
        platform: _,
        observer: _,
        root: _,
        poison,
        anchored,
    } = &**volume;
    let Publisher {
        volume: _,
        writable,
        unsettled,
        since,
    } = &**publisher;
    let Claims {
        volume: _,
        publisher: _,
        starter,
        observer: _,
        known,
        id,
        busy,
        in_a_row,
    } = claims;
    let Starter { volume: _, cleared } = starter;
    let Queue {
        waiting,
        led,
        arrival,
    } = queue;
    let kept = (&*poison.borrow(), anchored.get(), cleared.get());
    let publishing = (writable.get(), since.get());
    let claiming = (known.get(), id.get(), busy.get(), in_a_row.get());
    let leading = (led.get(), arrival.borrow().is_some(), overdue.get());
    let done = waiting.borrow().is_empty() && unsettled.borrow().is_none();
    done.then(|| hash(&(kept, publishing, claiming, leading)))
}
