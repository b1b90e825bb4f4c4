//! Where the choices of a simulated world come from: a seed, or an enumeration of all choices.
//!
//! Everything that is not decided by the code under test asks for a number below a bound: which call takes effect next,
//! what a listing shows, what a power cut leaves. So one simulator serves random tests and exhaustive ones.

/// A source of choices.
pub(crate) enum Choices {
    /// Random choices, by xorshift.
    Random(u64),
    /// The choices of a script, and 0 after its end.
    Scripted(Script),
}

/// A sequence of choices, each with the number of alternatives that it had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    made: Vec<Choice>,
    /// How many of them have been replayed.
    replayed: usize,
    /// How many names were made.
    names: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    pick: u64,
    bound: u64,
}

impl Choices {
    /// Returns the choices of a seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Choices::Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        match self {
            // The upper half, because the lowest bits of xorshift are weak.
            Choices::Random(state) => (xorshift(state) >> 32) % bound,
            Choices::Scripted(script) => script.below(bound),
        }
    }

    /// Returns an unpredictable number. In a script it is one that has not been returned before: it makes names, and how
    /// long a pause is, which a script decides by choosing when it ends.
    pub(crate) fn random(&mut self) -> u64 {
        match self {
            Choices::Random(state) => xorshift(state),
            Choices::Scripted(script) => {
                script.names += 1;
                script.names
            }
        }
    }
}

impl Choices {
    /// Returns how many names a script has made.
    pub(crate) fn names(&self) -> u64 {
        match self {
            Choices::Random(_) => 0,
            Choices::Scripted(script) => script.names,
        }
    }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
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
        (self.replayed, self.names) = (0, 0);
        while let Some(last) = self.made.last_mut() {
            if last.pick + 1 < last.bound {
                last.pick += 1;
                return Some(self);
            }
            self.made.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn scripts_enumerate_every_choice_once() {
        let mut script = Script::default();
        let mut seen = Vec::new();
        loop {
            let first = script.below(3);
            // What is chosen later depends on what was chosen before.
            let second = if first == 1 { script.below(2) } else { 9 };
            seen.push((first, second));
            match script.next() {
                Some(next) => script = next,
                None => break,
            }
        }
        assert_eq!(seen, [(0, 9), (1, 0), (1, 1), (2, 9)]);
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
