//! When two schedules have reached the same state: see [`super::explore`].

use super::requests::Request;
use super::schedule::Schedule;
use super::subject::Subject;
use crate::protocol::simulated::observed::hash;
use std::hash::{DefaultHasher, Hash, Hasher};

impl Schedule<'_> {
    /// Returns a hash of everything that decides what can follow.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let kinds = self.bounds.kinds;
        let faults = self.left.faults > 0;
        let (durable, may_be_cut) = (self.durable(), self.bounds.plain || self.may_be_cut());
        self.world.with(|state| {
            let observed = &state.history.observed;
            let alive = self.subjects.iter().map(|it| it.process.instance);
            for subject in &self.subjects {
                let Subject {
                    process,
                    arrival,
                    moved,
                    arrived,
                    ..
                } = subject;
                // What decides about moves that cannot come any more is left out.
                let left = |it: &Request| it.is_left(arrived, self.bounds);
                let arrival = *arrival && Request::ALL.iter().any(left);
                let moved = *moved && faults && (kinds.kill || kinds.fail);
                let last = self.last == Some(process.instance);
                (&observed[process.instance], arrived, arrival, moved, last).hash(&mut hasher);
            }
            let late = state.under_way.iter();
            let late = late.filter(|call| !alive.clone().any(|it| it == call.instance));
            let late = late.map(|it| (&observed[it.instance], &it.name));
            let mut late: Vec<_> = late.map(|it| hash(&it)).collect();
            late.sort_unstable();
            late.hash(&mut hasher);
            state.disk.hash(may_be_cut, &mut hasher);
            let changed = self.changed && faults && (kinds.cut || kinds.abort);
            (changed, durable).hash(&mut hasher);
        });
        (&self.acknowledged, self.floor, self.sent).hash(&mut hasher);
        (self.published, self.left).hash(&mut hasher);
        hasher.finish()
    }
}
