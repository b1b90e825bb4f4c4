//! A simulated world for the protocol: a volume, a clock and a scheduler, all driven by one source of choices.
//!
//! Every call on the volume waits until the scheduler picks it among all that are under way. So any two calls of any two
//! tasks happen in any order, and the same choices replay the same order. Like a system call, a picked call takes effect
//! even if its caller is gone.
//! - [`choices`]: where choices come from, which is a seed or an enumeration.
//! - [`disk`]: what is on the volume, and what of it a power cut leaves.
//! - [`SimulatedDir`]: the calls on it.
//! - [`World`]: the scheduler, the clock, the faults.
//! - [`Simulated`]: one instance's [`Platform`] in that world.
//! - [`history`]: what happened; [`observed`]: what of it an instance knows.

pub(crate) mod choices;
mod dir;
pub(crate) mod disk;
pub(crate) mod history;
pub(crate) mod observed;

use super::directory::{FsError, FsErrorKind, FsResult};
use super::platform::Platform;
use choices::Choices;
pub(crate) use dir::SimulatedDir;
use disk::Disk;
use futures::channel::oneshot;
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;
use history::{History, InstanceId};
use std::cell::RefCell;
use std::hash::Hash;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Pauses shorter than this can end while calls are under way.
const SHORT: Duration = Duration::from_secs(1);

/// More steps than any world needs in which nobody waits for ever.
const MAX_STEPS: usize = 100_000;

/// A call that was made and has not taken effect.
pub(crate) struct Call {
    /// Who made it.
    pub(crate) instance: InstanceId,
    /// Its name and argument.
    pub(crate) name: Rc<str>,
    effect: Effect,
}

type Effect = Box<dyn FnOnce(&mut State, Rc<str>)>;

/// A wait for time to pass.
struct Pause {
    instance: InstanceId,
    end: Duration,
    length: Duration,
    waiter: oneshot::Sender<()>,
}

/// Everything that outlives an instance.
#[derive(Clone)]
pub(crate) struct World {
    state: Rc<RefCell<State>>,
}

pub(crate) struct State {
    pub(crate) disk: Disk,
    /// Calls that were made and have not taken effect.
    pub(crate) under_way: Vec<Call>,
    /// Whether calls wait, as on storage over a broken network.
    hung: bool,
    pauses: Vec<Pause>,
    /// How many steps were taken.
    steps: usize,
    now: Duration,
    /// How long each call takes.
    pub(crate) call_time: Duration,
    /// The spawner of the pool that is running.
    spawner: Option<LocalSpawner>,
    pub(crate) choices: Choices,
    pub(crate) history: History,
    /// The calls that fail from now on, by a prefix of their text, and how they fail.
    pub(crate) faults: Vec<(&'static str, FsErrorKind)>,
    /// The same for the next such call only, because a disk reports a lost write once.
    pub(crate) one_fault: Option<(&'static str, FsErrorKind)>,
    /// The error that the next call reports although it takes effect, as a rename over NFS that was sent twice.
    pub(crate) one_lie: Option<FsErrorKind>,
    pub(crate) log: Vec<String>,
}

impl State {
    /// Returns a choice below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(bound)
    }

    fn fault(&mut self, call: &str) -> Option<FsError> {
        if let Some((_, kind)) = self.one_fault.take_if(|(name, _)| call.starts_with(*name)) {
            return Some(disk::error(kind));
        }
        let fault = self.faults.iter().find(|(name, _)| call.starts_with(name));
        fault.map(|(_, kind)| disk::error(*kind))
    }

    /// Lets the call at `index` take effect. Returns who made it, and its text.
    pub(crate) fn take_effect(&mut self, index: usize) -> (InstanceId, Rc<str>) {
        let call = self.under_way.swap_remove(index);
        self.now += self.call_time;
        (call.effect)(self, call.name.clone());
        (call.instance, call.name)
    }

    /// Returns who pauses for a short time.
    pub(crate) fn short_pauses(&mut self) -> Vec<InstanceId> {
        self.short().map(|pause| pause.instance).collect()
    }

    fn short(&mut self) -> impl Iterator<Item = &Pause> {
        self.pauses.retain(|pause| !pause.waiter.is_canceled());
        self.pauses.iter().filter(|pause| pause.length < SHORT)
    }

    /// Returns how long an instance pauses for a short time. What else it waits for does not end in a search.
    pub(crate) fn pauses_of(&mut self, instance: InstanceId) -> Vec<Duration> {
        let own = self.short().filter(|pause| pause.instance == instance);
        let mut lengths: Vec<_> = own.map(|pause| pause.length).collect();
        lengths.sort_unstable();
        lengths
    }

    /// Ends the pause that ends first, of `instance` or of any.
    pub(crate) fn end_pause(&mut self, instance: Option<InstanceId>) -> bool {
        let pauses = self.pauses.iter().enumerate();
        let pauses = pauses.filter(|(_, pause)| instance.is_none_or(|it| it == pause.instance));
        let Some((index, _)) = pauses.min_by_key(|(_, pause)| pause.end) else {
            return false;
        };
        let pause = self.pauses.remove(index);
        self.now = self.now.max(pause.end);
        self.history.observe(pause.instance, &"a pause ends");
        let _ = pause.waiter.send(());
        true
    }
}

impl World {
    /// Returns a world with an empty volume, in which a seed decides.
    pub(crate) fn new(seed: u64) -> Self {
        World::with_choices(Choices::seeded(seed))
    }

    /// Returns a world with an empty volume.
    pub(crate) fn with_choices(choices: Choices) -> Self {
        World {
            state: Rc::new(RefCell::new(State {
                disk: Disk::default(),
                under_way: Vec::new(),
                hung: false,
                pauses: Vec::new(),
                steps: 0,
                now: Duration::ZERO,
                call_time: Duration::ZERO,
                spawner: None,
                choices,
                history: History::default(),
                faults: Vec::new(),
                one_fault: None,
                one_lie: None,
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

    /// Runs the tasks of `pool` until none can continue.
    pub(crate) fn run_to_rest(&self, pool: &mut LocalPool) {
        self.run(pool, MAX_STEPS);
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
        self.run_to_rest(pool);
        output.take().expect("the task ends")
    }

    /// Lets a random call take effect or the next pause end. Returns `false` if there is neither. All pools must have been
    /// polled, because the clock advances only when every task waits.
    pub(crate) fn step(&self) -> bool {
        self.with(|state| {
            state.steps += 1;
            assert!(state.steps < MAX_STEPS, "somebody waits for ever");
            // A call may outlast the pause after a lost race, and never a limit.
            let short = state.short_pauses().len();
            let calls = if state.hung { 0 } else { state.under_way.len() };
            let pick = match calls + short {
                0 => return state.end_pause(None),
                choices => state.below(choices as u64) as usize,
            };
            if pick < calls {
                state.take_effect(pick);
                return true;
            }
            state.end_pause(None)
        })
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Duration {
        self.with(|state| state.now)
    }

    /// Lets time pass in which nothing happens.
    pub(crate) fn pass(&self, time: Duration) {
        self.with(|state| state.now += time);
    }

    /// Makes all calls wait, or continue.
    pub(crate) fn hang(&self, hung: bool) {
        self.with(|state| state.hung = hung);
    }

    /// Lets each call that is under way take effect or vanish at random, after its caller was killed.
    pub(crate) fn settle(&self) {
        self.with(|state| {
            while let Some(last) = state.under_way.len().checked_sub(1) {
                if state.below(2) == 0 {
                    state.take_effect(last);
                } else {
                    state.under_way.pop();
                }
            }
        });
    }

    /// Cuts the power. What was not synced may be lost.
    pub(crate) fn cut_power(&self) {
        self.with(|state| {
            state.under_way.clear();
            let State { disk, choices, .. } = state;
            let lossy = disk.cut_power(&mut |bound| choices.below(bound));
            state.history.lossy_cuts += usize::from(lossy);
        });
    }

    /// Makes a call of `instance`. Its effect happens when the scheduler picks it, unless a fault is set for `name`.
    async fn call<T: Hash + 'static>(
        &self,
        instance: InstanceId,
        name: Rc<str>,
        effect: impl FnOnce(&mut State) -> FsResult<T> + 'static,
    ) -> FsResult<T> {
        let (sender, receiver) = oneshot::channel();
        let effect = Box::new(move |state: &mut State, name: Rc<str>| {
            let nodes = state.disk.nodes();
            state.disk.next = state.history.observed[instance].next();
            let result = match state.fault(&name) {
                Some(error) => Err(error),
                None => match state.one_lie.take() {
                    Some(kind) => effect(state).and(Err(disk::error(kind))),
                    None => effect(state),
                },
            };
            if state.disk.nodes() > nodes {
                state.history.observed[instance].create();
            }
            state.history.record(instance, name, &result);
            let late = sender.send(result).is_err();
            state.history.late_calls += usize::from(late);
        });
        self.with(|state| {
            state.under_way.push(Call {
                instance,
                name,
                effect,
            });
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
            let (instance, length) = (self.instance, duration);
            state.pauses.push(Pause {
                instance,
                end,
                length,
                waiter,
            });
        });
        let _ = ended.await;
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    fn random(&self) -> u64 {
        self.world.with(|state| {
            let drawn = state.history.observed[self.instance].draw();
            state.choices.random(drawn)
        })
    }

    fn log(&self, line: &str) {
        self.world.with(|state| state.log.push(line.into()));
    }
}
