//! Where the choices of a simulated world come from: a seed, or an enumeration of all choices.
//!
//! Everything that is not decided by the code under test asks for a number below a bound: which call takes effect next,
//! what a listing shows, what a power cut leaves. So one simulator serves random tests and exhaustive ones.

/// A source of choices.
pub(crate) enum Choices {
    /// Random choices, by xorshift. They are recorded on the [`tape`].
    Random(u64),
    /// The choices on the [`tape`].
    Taped,
    /// The choices of a script, and 0 after its end.
    Scripted(Script),
}

/// A sequence of choices, each with the number of alternatives that it had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    made: Vec<Choice>,
    /// How many of them have been replayed.
    replayed: usize,
    /// How many of them stay as they are, because other scripts have their alternatives.
    fixed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    pick: u64,
    bound: u64,
}

impl Choices {
    /// Returns the choices of a seed, unless the tape replaces them.
    pub(crate) fn seeded(seed: u64) -> Self {
        if tape::is_played() {
            return Choices::Taped;
        }
        Choices::Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        match self {
            // The upper half, because the lowest bits of xorshift are weak.
            Choices::Random(state) => {
                let pick = (xorshift(state) >> 32) % bound;
                tape::record(pick);
                pick
            }
            Choices::Taped => tape::next() % bound,
            Choices::Scripted(script) => script.below(bound),
        }
    }

    /// Returns an unpredictable number. In a script it is `drawn`: it makes names, and how long a pause is, which a script
    /// decides by choosing when it ends.
    pub(crate) fn random(&mut self, drawn: u64) -> u64 {
        match self {
            Choices::Random(state) => xorshift(state),
            Choices::Taped => tape::name(),
            Choices::Scripted(_) => drawn,
        }
    }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

impl Choice {
    /// Picks the next alternative. Returns `false` after the last.
    fn advance(&mut self) -> bool {
        let more = self.pick + 1 < self.bound;
        self.pick += u64::from(more);
        more
    }
}

impl Script {
    /// Returns a script that replays these choices.
    pub(crate) fn replay(picks: &[u64]) -> Self {
        let choice = |&pick| Choice {
            pick,
            bound: u64::MAX,
        };
        Script {
            made: picks.iter().map(choice).collect(),
            ..Script::default()
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        // No choice, so that scripts are short.
        if bound <= 1 {
            return 0;
        }
        if self.replayed == self.made.len() {
            self.made.push(Choice { pick: 0, bound });
        }
        let choice = &mut self.made[self.replayed];
        self.replayed += 1;
        choice.bound = bound;
        choice.pick = choice.pick.min(bound - 1);
        choice.pick
    }

    /// Returns whether every choice that was given has been replayed, so that what follows is new.
    pub(crate) fn is_replayed(&self) -> bool {
        self.replayed == self.made.len()
    }

    /// Returns the choices that were made.
    pub(crate) fn picks(&self) -> Vec<u64> {
        self.made.iter().map(|choice| choice.pick).collect()
    }

    /// Returns the script after this one, depth first; `None` after the last.
    pub(crate) fn next(mut self) -> Option<Self> {
        self.made.truncate(self.replayed);
        self.replayed = 0;
        while self.made.len() > self.fixed {
            if self.made.last_mut().is_some_and(Choice::advance) {
                return Some(self);
            }
            self.made.pop();
        }
        None
    }

    /// Returns a script that comes after this one, and leaves all that come after that one to it. `None` if this one is the last.
    pub(crate) fn split(&mut self) -> Option<Self> {
        for first in self.fixed..self.made.len() {
            let mut choice = self.made[first];
            if choice.advance() {
                self.fixed = first + 1;
                let mut made = self.made[..first].to_vec();
                made.push(choice);
                return Some(Script {
                    made,
                    replayed: 0,
                    fixed: first,
                });
            }
        }
        None
    }
}

/// The choices of the test that this thread runs, in order, so that a failure can be shrunk: all random choices are recorded,
/// and a shorter tape is played instead of a seed.
pub(crate) mod tape {
    use std::cell::RefCell;
    use std::mem;

    #[derive(Default)]
    struct Tape {
        picks: Vec<u64>,
        /// The position and how many names were made, if it is played.
        played: Option<(usize, u64)>,
    }

    thread_local! {
        static TAPE: RefCell<Tape> = RefCell::default();
    }

    fn with<T>(f: impl FnOnce(&mut Tape) -> T) -> T {
        TAPE.with_borrow_mut(f)
    }

    /// Erases the tape, and records from now on.
    pub(crate) fn erase() {
        with(|tape| {
            tape.picks.clear();
            tape.played = None;
        });
    }

    /// Returns what was recorded.
    pub(crate) fn take() -> Vec<u64> {
        with(|tape| mem::take(&mut tape.picks))
    }

    /// Plays these choices from now on.
    pub(crate) fn play(picks: &[u64]) {
        with(|tape| {
            tape.picks = picks.to_vec();
            tape.played = Some((0, 0));
        });
    }

    pub(super) fn is_played() -> bool {
        with(|tape| tape.played.is_some())
    }

    pub(super) fn record(pick: u64) {
        with(|tape| tape.picks.push(pick));
    }

    /// Returns the next choice on the tape, and after its end choices that take turns, because a schedule that always takes
    /// the first call may not end.
    pub(super) fn next() -> u64 {
        with(|tape| {
            let Some((at, _)) = &mut tape.played else {
                return 0;
            };
            *at += 1;
            let after = *at as u64;
            tape.picks.get(*at - 1).copied().unwrap_or(after)
        })
    }

    /// Returns a number that has not been returned before.
    pub(super) fn name() -> u64 {
        with(|tape| {
            let Some((_, names)) = &mut tape.played else {
                return 0;
            };
            *names += 1;
            *names
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    const ALL: [(u64, u64); 5] = [(0, 9), (1, 0), (1, 1), (1, 2), (2, 9)];

    fn choose(script: &mut Script) -> (u64, u64) {
        let first = script.below(3);
        // What is chosen later depends on what was chosen before.
        let second = if first == 1 { script.below(3) } else { 9 };
        (first, second)
    }

    #[test]
    fn scripts_enumerate_every_choice_once() {
        let mut script = Some(Script::default());
        let mut seen = Vec::new();
        while let Some(mut next) = script {
            seen.push(choose(&mut next));
            script = next.next();
        }
        assert_eq!(seen, ALL);
    }

    #[test]
    fn scripts_that_were_split_enumerate_every_choice_once() {
        for splits in 0..1 << ALL.len() {
            let mut scripts = vec![Script::default()];
            let mut seen = Vec::new();
            while let Some(mut script) = scripts.pop() {
                seen.push(choose(&mut script));
                if splits >> (seen.len() - 1) & 1 == 1 {
                    scripts.extend(script.split());
                }
                scripts.extend(script.next());
            }
            seen.sort_unstable();
            assert_eq!(seen, ALL, "{splits:b}");
        }
    }

    #[test]
    fn a_replayed_script_makes_its_choices_again() {
        let mut script = Script::replay(&[2, 0]);
        assert_eq!((script.below(3), script.below(1)), (2, 0));
        assert!(!script.is_replayed());
        assert_eq!((script.below(5), script.below(4)), (0, 0));
        assert_eq!(script.picks(), [2, 0, 0]);
    }
}
