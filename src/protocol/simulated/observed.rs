//! What an instance has observed and made. What it does next is a function of that, because its tasks are deterministic.

use super::disk::NodeId;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What one instance has observed and made.
#[derive(Hash)]
pub(crate) struct Observed {
    /// Whose it is: no other instance has the same.
    identity: u64,
    /// The results of its calls in order, its arrivals and its pauses, as a hash.
    seen: u64,
    /// How many names it has drawn.
    drawn: u64,
    /// How many files and directories it has created.
    created: u64,
    /// The files that it has open.
    pub(crate) open: Vec<NodeId>,
}

impl Observed {
    /// Returns what an instance has observed that starts.
    pub(super) fn nothing(identity: u64) -> Self {
        Observed {
            identity,
            seen: 0,
            drawn: 0,
            created: 0,
            open: Vec::new(),
        }
    }

    /// Begins again, under another identity.
    pub(crate) fn begin(&mut self, identity: impl Hash) {
        (self.identity, self.seen) = (hash(&identity), 0);
    }

    /// Adds to what it has seen.
    pub(crate) fn observe(&mut self, what: &impl Hash) {
        self.seen = hash(&(self.seen, what));
    }

    /// Replaces what it has seen by what is left of it, and by the files that it has open. A call on one of them may outlive it.
    pub(crate) fn forget(&mut self, left: &impl Hash) {
        self.seen = hash(&(left, &self.open));
    }

    /// Returns a name that nobody has drawn before. It does not depend on what other instances do meanwhile.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        hash(&(self.identity, self.drawn))
    }

    /// Returns the file or directory that this instance creates next.
    pub(super) fn next(&self) -> NodeId {
        NodeId(hash(&(self.identity, "creates", self.created)))
    }

    /// Records that it has created one.
    pub(super) fn create(&mut self) {
        self.created += 1;
    }
}

/// Returns a hash of 64 bits.
pub(crate) fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
