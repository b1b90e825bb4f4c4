//! What the observer learns, which the metrics show.

use super::*;
use crate::protocol::directory::FsErrorKind::{NotFound, Other};
use crate::protocol::observer::Observer;
use std::time::Duration;

/// What an observer has learned, in order.
#[derive(Default)]
struct Observed(RefCell<Vec<String>>);

impl Observer for Observed {
    fn committed(&self, visits: u64) {
        self.0.borrow_mut().push(format!("{visits} committed"));
    }

    fn failed(&self, visits: u64) {
        self.0.borrow_mut().push(format!("{visits} failed"));
    }

    fn lost_claim(&self) {
        self.0.borrow_mut().push("a claim lost".into());
    }

    fn synced(&self, duration: Duration) {
        self.0.borrow_mut().push(format!("synced in {duration:?}"));
    }
}

#[test]
fn commits_syncs_lost_claims_and_failures_are_observed() {
    let world = World::new(1);
    let mut process = Process::start(&world);
    let observed = Rc::new(Observed::default());
    process.counter = Counter::new(world.platform(), observed.clone());
    let visit = |process: &mut Process, visitors| {
        process.visitors(visitors);
        process.run(&world);
        observed.0.take()
    };
    world.pass(Duration::from_secs(60));
    world.with(|state| state.call_time = Duration::from_millis(3));
    assert_eq!(visit(&mut process, 2), ["synced in 3ms", "2 committed"]);
    world.with(|state| state.one_fault = Some(("rename ticket.2", NotFound)));
    let lost = ["a claim lost", "synced in 3ms", "1 committed"];
    assert_eq!(visit(&mut process, 1), lost);
    fail(&world, "rename ticket.3", Other);
    assert_eq!(visit(&mut process, 4), ["4 failed"]);
}
