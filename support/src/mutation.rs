//! Mutated inputs for parsers: seeds with random changes, the same in every run.

/// Maximum number of changes of a seed.
const MAX_CHANGES: u64 = 6;

/// A source of mutated inputs.
#[derive(Clone, Debug)]
pub struct Mutator {
    /// The state of a generator of pseudo-random numbers (xorshift).
    state: u64,
    /// Parts of inputs with a meaning for the parser.
    words: &'static [&'static str],
}

impl Mutator {
    /// Returns a source that inserts `words`, too. The same number always gives the same inputs.
    pub fn new(number: u64, words: &'static [&'static str]) -> Self {
        Mutator {
            // The generator must not start at 0, and similar numbers must not give similar inputs.
            state: number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            words,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Returns a number below `limit`, or 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // The remainder fits, because it is below a usize.
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Returns one of the seeds after one to six changes. A change may insert a part of another seed.
    ///
    /// # Panics
    /// If there are no seeds.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        let other = self.below(seeds.len());
        for _ in 0..=self.next() % MAX_CHANGES {
            self.change(&mut input, &seeds[other]);
        }
        input
    }

    /// Changes an input in one place.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(16)).min(input.len());
        match self.below(5) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let word = self.words[self.below(self.words.len())];
                input.splice(at..at, word.bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mutator;

    #[test]
    fn a_number_gives_the_same_inputs_again_and_another_number_others() {
        let seeds = [b"one seed".to_vec(), b"and another".to_vec()];
        let inputs = |number| {
            let mut mutator = Mutator::new(number, &["word"]);
            (0..100).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }
}
