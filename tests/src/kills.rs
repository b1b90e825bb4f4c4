//! Kills at random moments under load: how many, and when.
//!
//! `make test` runs a few of each kind. `cargo xtask kills` runs the same tests with more.

use crate::environment;
use crate::history::History;
use anyhow::{Context, Result};
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

/// After how many further answers a kill comes.
const ANSWERS: Range<usize> = 1..400;

/// How much later. A batch of visits takes a millisecond or two, so the kill comes at any moment of one.
const PAUSE_MICROS: Range<u64> = 0..10_000;

/// The kills of a test.
#[derive(Debug)]
pub struct Kills(Mutex<State>);

#[derive(Debug)]
struct State {
    made: u32,
    planned: u32,
    random: fastrand::Rng,
}

/// One kill.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    number: u32,
    answers: usize,
    pause: Duration,
}

impl Kills {
    /// Plans `VISITS_KILLS` kills, or `usual` if that is not set. Their moments come from `VISITS_KILLS_SEED`, or from a new
    /// seed; it is printed.
    ///
    /// # Errors
    /// Fails if a variable is no number.
    pub fn plan(usual: u32) -> Result<Self> {
        let number = |variable: environment::Variable| {
            let set = variable.get().is_some();
            set.then(|| variable.text()?.parse().context(variable.name()))
                .transpose()
        };
        let planned = number(environment::KILLS)?.map_or(Ok(usual), u32::try_from)?;
        let seed: u64 = number(environment::KILLS_SEED)?.unwrap_or_else(|| fastrand::u64(..));
        println!("{planned} kills, seed {seed}");
        Ok(Self(Mutex::new(State {
            made: 0,
            planned,
            random: fastrand::Rng::with_seed(seed),
        })))
    }

    /// Returns the next kill; `None` if all were made.
    pub fn next(&self) -> Option<Kill> {
        let mut state = self.0.lock().expect("no holder panics");
        (state.made < state.planned).then(|| {
            state.made += 1;
            Kill {
                number: state.made,
                answers: state.random.usize(ANSWERS),
                pause: Duration::from_micros(state.random.u64(PAUSE_MICROS)),
            }
        })
    }
}

impl Kill {
    /// Waits until its moment has come: some more visits are answered, and then a moment passes.
    ///
    /// # Errors
    /// Fails if no visits are answered.
    pub async fn moment(&self, history: &History) -> Result<()> {
        history.answers(self.answers).await?;
        tokio::time::sleep(self.pause).await;
        Ok(())
    }
}

impl Display for Kill {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "kill {}", self.number)
    }
}
