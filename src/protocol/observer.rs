//! What the protocol reports about its own work, to be measured.

use std::time::Duration;

/// A recipient of measurements.
pub trait Observer {
    /// Records a batch of `visits` visits that is durable and published.
    fn committed(&self, visits: u64);

    /// Records `visits` visits of one batch that were answered with an error.
    fn failed(&self, visits: u64);

    /// Records how long the volume took to sync a claim, or to fail.
    fn synced(&self, duration: Duration);

    /// Records a claim that another instance was faster with.
    fn lost_claim(&self);
}
