//! The rules that can be left out, each by itself, to show that a test notices. Outside of tests every rule is kept, and the
//! compiler removes the question.

/// A rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "only tests leave rules out"))]
pub(super) enum Rule {
    /// A claim is synced before it is answered.
    SyncClaim,
    /// After a failed sync nothing more is claimed.
    StopAfterFailedSync,
    /// After a failed sync nothing is answered that was claimed before.
    StopBesideFailedSync,
    /// A sync is trusted once a later change has succeeded.
    Confirm,
    /// The root is synced before anything is published.
    SyncRoot,
    /// After a start the root is synced again.
    SyncRootAnew,
    /// A prepared directory is synced before it appears.
    SyncPrepared,
    /// The copy of a file that is taken over is synced before the start.
    SyncCopy,
    /// A number is published before it is answered.
    PublishBeforeAnswer,
    /// An instance that has not published yet writes before it claims.
    WriteBeforeClaim,
    /// `visits.bin` is replaced if another instance has claimed.
    Fence,
    /// Whoever claims after another instance publishes for it first.
    Help,
    /// What a power cut has left incomplete is not published.
    CheckNext,
    /// After a leader was dropped the next claim is one after another instance.
    Forget,
    /// A leader that is dropped calls the next.
    HandOn,
    /// A claim that was made and reported as lost is recognised.
    Recognise,
    /// Tickets below the highest are removed.
    RemoveLower,
    /// A request that does not count mends `visits.bin`.
    Mend,
}

/// Returns whether a rule is kept.
#[cfg(not(test))]
pub(super) const fn kept(_: Rule) -> bool {
    true
}

#[cfg(test)]
thread_local! {
    /// The rule that the test of this thread leaves out.
    pub(super) static LEFT_OUT: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

/// Returns whether a rule is kept.
#[cfg(test)]
pub(super) fn kept(rule: Rule) -> bool {
    LEFT_OUT.get() != Some(rule)
}
