//! The requests of a schedule: visits, and requests that do not count.

use super::bounds::Bounds;
use super::schedule::Schedule;
use super::*;

/// A request to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Visit,
    /// It reads the count.
    Read,
    /// It checks that a visit could be counted.
    Probe,
}

/// What a request got that was not refused.
pub(super) enum Answer {
    Counted(u64),
    Read(u64),
    Ready,
}

/// How many requests of each kind have come to an instance.
pub(super) type Arrived = [usize; Request::ALL.len()];

impl Request {
    pub(super) const ALL: [Self; 3] = [Request::Visit, Request::Read, Request::Probe];

    /// Returns whether another one may come.
    pub(super) fn is_left(self, arrived: &Arrived, bounds: &Bounds) -> bool {
        let limit = match self {
            Request::Visit => bounds.visits,
            Request::Read => bounds.reads,
            Request::Probe => bounds.probes,
        };
        arrived[self as usize] < limit
    }

    async fn make(self, counter: Counter<Simulated>) -> Result<Answer, String> {
        match self {
            Request::Visit => {
                let number = counter.visit().await;
                number.map(Answer::Counted).map_err(|e| e.to_string())
            }
            Request::Read => {
                let number = counter.current().await;
                number.map(Answer::Read).map_err(|e| e.to_string())
            }
            Request::Probe => {
                let ready = counter.probe().await;
                ready.map(|()| Answer::Ready).map_err(|e| e.to_string())
            }
        }
    }
}

impl Schedule<'_> {
    /// Lets a request arrive.
    pub(super) fn arrive(&mut self, index: usize, request: Request) {
        let highest = self.acknowledged.last().copied().unwrap_or(self.base);
        let subject = &mut self.subjects[index];
        subject.arrived[request as usize] += 1;
        self.sent += u64::from(request == Request::Visit);
        let instance = subject.process.instance;
        let arrival = (request, highest);
        self.world
            .with(|state| state.history.observe(instance, &arrival));
        let (counter, answers) = (subject.process.counter.clone(), subject.answers.clone());
        let task = async move {
            let answer = request.make(counter).await;
            answers.borrow_mut().push((highest, answer));
        };
        subject.process.pool.spawner().spawn_local(task).unwrap();
        self.world.poll(&mut subject.process.pool);
        self.print(|| format!("{instance}: {request:?} arrives"));
    }
}
