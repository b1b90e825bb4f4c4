//! A simulated world for the protocol: a volume, a clock and a scheduler, all driven by one seed.
//!
//! Every call on the volume waits until the scheduler picks it among all that are under way. So any two calls of any two
//! tasks happen in any order, and the same seed replays the same order. Like a system call, a picked call takes effect
//! even if its caller is gone.
//! - [`disk`]: what is on the volume, and what of it a power cut leaves.
//! - [`SimulatedDir`]: the calls on it.
//! - [`World`]: the scheduler, the clock, the faults.
//! - [`Simulated`]: one instance's [`Platform`] in that world.
//! - [`history`]: what happened.

mod dir;
pub(crate) mod disk;
pub(crate) mod history;

use super::directory::{FsError, FsErrorKind, FsResult};
use super::platform::Platform;
pub(crate) use dir::SimulatedDir;
use disk::Disk;
use futures::channel::oneshot;
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;
use history::{History, InstanceId};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Pauses shorter than this can end while calls are under way.
const SHORT: Duration = Duration::from_secs(1);

type Effect = Box<dyn FnOnce(&mut State)>;

/// Everything that outlives an instance.
#[derive(Clone)]
pub(crate) struct World {
    state: Rc<RefCell<State>>,
}

pub(crate) struct State {
    pub(crate) disk: Disk,
    /// Calls that were made and have not taken effect.
    under_way: Vec<Effect>,
    /// Whether calls wait, as on storage over a broken network.
    hung: bool,
    /// The end and the length of each pause, and its waiter.
    pauses: Vec<(Duration, Duration, oneshot::Sender<()>)>,
    now: Duration,
    /// The spawner of the pool that is running.
    spawner: Option<LocalSpawner>,
    random: u64,
    pub(crate) history: History,
    /// The calls that fail from now on, by a prefix of their text, and how they fail.
    pub(crate) faults: Vec<(&'static str, FsErrorKind)>,
    /// The same for the next such call only, because a disk reports a lost write once.
    pub(crate) one_fault: Option<(&'static str, FsErrorKind)>,
    pub(crate) log: Vec<String>,
}

impl State {
    /// Returns a random number below `bound`, by xorshift.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn fault(&mut self, call: &str) -> Option<FsError> {
        if let Some((_, kind)) = self.one_fault.take_if(|(name, _)| call.starts_with(*name)) {
            return Some(disk::error(kind));
        }
        let fault = self.faults.iter().find(|(name, _)| call.starts_with(name));
        fault.map(|(_, kind)| disk::error(*kind))
    }
}

impl World {
    /// Returns a world with an empty volume.
    pub(crate) fn new(seed: u64) -> Self {
        World {
            state: Rc::new(RefCell::new(State {
                disk: Disk::default(),
                under_way: Vec::new(),
                hung: false,
                pauses: Vec::new(),
                now: Duration::ZERO,
                spawner: None,
                random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
                history: History::default(),
                faults: Vec::new(),
                one_fault: None,
                log: Vec::new(),
            })),
        }
    }

    /// Reads or changes the state.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.borrow_mut())
    }

    /// Returns a new instance's platform.
    pub(crate) fn platform(&self) -> Rc<Simulated> {
        Rc::new(Simulated {
            instance: self.with(|state| state.history.start()),
            world: self.clone(),
        })
    }

    /// Runs the tasks of `pool` until they wait. What they spawn runs in the same pool, as the tasks that a component's
    /// task spawns run within that task.
    pub(crate) fn poll(&self, pool: &mut LocalPool) {
        self.with(|state| state.spawner = Some(pool.spawner()));
        pool.run_until_stalled();
    }

    /// Runs the tasks of `pool` until none can continue, for at most `steps` steps.
    pub(crate) fn run(&self, pool: &mut LocalPool, steps: usize) {
        for _ in 0..steps {
            self.poll(pool);
            if !self.step() {
                return;
            }
        }
    }

    /// Runs `task` in `pool` to its end, and returns its output.
    pub(crate) fn complete<T: 'static>(
        &self,
        pool: &mut LocalPool,
        task: impl Future<Output = T> + 'static,
    ) -> T {
        let output = Rc::new(RefCell::new(None));
        let slot = output.clone();
        let task = async move {
            slot.replace(Some(task.await));
        };
        pool.spawner()
            .spawn_local(task)
            .expect("the pool exists and takes tasks");
        self.run(pool, usize::MAX);
        output.take().expect("the task ends")
    }

    /// Lets a random call take effect or the next pause end. Returns `false` if there is neither. All pools must have been
    /// polled, because the clock advances only when every task waits.
    pub(crate) fn step(&self) -> bool {
        enum Next {
            Effect(Effect),
            Pause(oneshot::Sender<()>),
        }
        let next = self.with(|state| {
            state.pauses.retain(|(_, _, waiter)| !waiter.is_canceled());
            state.pauses.sort_by_key(|(end, ..)| *end);
            let calls = if state.hung { 0 } else { state.under_way.len() };
            // A call may outlast the pause after a lost race, and never a limit.
            let short = state.pauses.iter().filter(|(_, length, _)| *length < SHORT);
            let choices = (calls + short.count()) as u64;
            let pick = if choices > 0 {
                state.below(choices) as usize
            } else {
                0
            };
            if pick < calls {
                return Some(Next::Effect(state.under_way.swap_remove(pick)));
            }
            if state.pauses.is_empty() {
                return None;
            }
            let (end, _, waiter) = state.pauses.remove(0);
            state.now = state.now.max(end);
            Some(Next::Pause(waiter))
        });
        match next {
            Some(Next::Effect(effect)) => self.with(effect),
            Some(Next::Pause(waiter)) => drop(waiter.send(())),
            None => return false,
        }
        true
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Duration {
        self.with(|state| state.now)
    }

    /// Makes all calls wait, or continue.
    pub(crate) fn hang(&self, hung: bool) {
        self.with(|state| state.hung = hung);
    }

    /// Lets each call that is under way take effect or vanish at random, after its caller was killed.
    pub(crate) fn settle(&self) {
        while let Some(effect) = self.with(|state| state.under_way.pop()) {
            if self.with(|state| state.below(2) == 0) {
                self.with(effect);
            }
        }
    }

    /// Cuts the power. What was not synced may be lost.
    pub(crate) fn cut_power(&self) {
        self.with(|state| {
            state.under_way.clear();
            let mut random = state.random;
            let lossy = state.disk.cut_power(&mut |bound| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 33) % bound
            });
            state.random = random | 1;
            state.history.lossy_cuts += usize::from(lossy);
        });
    }

    /// Makes a call of `instance`. Its effect happens when the scheduler picks it, unless a fault is set for `name`.
    async fn call<T: 'static>(
        &self,
        instance: InstanceId,
        name: String,
        effect: impl FnOnce(&mut State) -> FsResult<T> + 'static,
    ) -> FsResult<T> {
        let (sender, receiver) = oneshot::channel();
        self.with(|state| {
            state.under_way.push(Box::new(move |state| {
                let result = match state.fault(&name) {
                    Some(error) => Err(error),
                    None => effect(state),
                };
                state.history.record(instance, name, &result);
                let late = sender.send(result).is_err();
                state.history.late_calls += usize::from(late);
            }));
        });
        receiver
            .await
            .unwrap_or_else(|_| Err(disk::error(FsErrorKind::Other)))
    }
}

/// One instance's platform.
pub(crate) struct Simulated {
    world: World,
    pub(crate) instance: InstanceId,
}

impl Platform for Simulated {
    type Dir = SimulatedDir;
    type Opener = oneshot::Sender<()>;
    type Gate = Pin<Box<dyn Future<Output = ()>>>;

    fn root(&self) -> Result<SimulatedDir, String> {
        Ok(SimulatedDir::root(self.world.clone(), self.instance))
    }

    fn gate(&self) -> (oneshot::Sender<()>, Self::Gate) {
        let (opener, end) = oneshot::channel();
        let gate = Box::pin(async move {
            let _ = end.await;
        });
        (opener, gate)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let spawner = self.world.with(|state| state.spawner.clone());
        let spawner = spawner.expect("tasks run by World::poll only");
        spawner
            .spawn_local(task)
            .expect("the pool that runs takes tasks");
    }

    async fn pause(&self, duration: Duration) {
        let (waiter, ended) = oneshot::channel();
        self.world.with(|state| {
            let end = state.now + duration;
            state.pauses.push((end, duration, waiter));
        });
        let _ = ended.await;
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    fn random(&self) -> u64 {
        self.world.with(|state| state.below(u64::MAX))
    }

    fn log(&self, line: &str) {
        self.world.with(|state| state.log.push(line.into()));
    }
}
