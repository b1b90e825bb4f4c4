//! The measurements of one instance, as Prometheus text.
//!
//! `visits_total` is the volume's count and outlives instances. Everything else starts at 0 with each instance.

use crate::protocol::observer::Observer;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, Registry, TextEncoder};
use std::time::Duration;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The measurements of one instance.
pub struct Metrics {
    registry: Registry,
    visits: IntCounter,
    commits: IntCounter,
    batch: Histogram,
    sync_seconds: Histogram,
    lost_claims: IntCounter,
    failed: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("the name is valid");
            register(&registry, counter.clone());
            counter
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let options = HistogramOpts::new(name, help).buckets(buckets);
            let histogram = Histogram::with_opts(options).expect("the name is valid");
            register(&registry, histogram.clone());
            histogram
        };
        let powers = |start, factor, count| {
            prometheus::exponential_buckets(start, factor, count).expect("the buckets grow")
        };
        Metrics {
            visits: counter(
                "visits_total",
                "Visits counted on this volume, by all instances.",
            ),
            commits: counter(
                "visits_commits_total",
                "Batches of visits made durable by this instance.",
            ),
            batch: histogram(
                "visits_batch_size",
                "Visits that one commit of this instance counted.",
                powers(1.0, 2.0, 11),
            ),
            sync_seconds: histogram(
                "visits_sync_seconds",
                "Time that the volume took to sync a commit, in seconds.",
                powers(0.000_064, 4.0, 9),
            ),
            lost_claims: counter(
                "visits_lost_claims_total",
                "Claims that another instance was faster with, and that were tried again.",
            ),
            failed: counter(
                "visits_failed_total",
                "Visits that this instance could not count, each answered with an error.",
            ),
            registry,
        }
    }
}

fn register(registry: &Registry, metric: impl prometheus::core::Collector + 'static) {
    registry
        .register(Box::new(metric))
        .expect("the names differ");
}

impl Observer for Metrics {
    fn committed(&self, visits: u64) {
        self.commits.inc();
        self.batch.observe(visits as f64);
    }

    fn failed(&self, visits: u64) {
        self.failed.inc_by(visits);
    }

    fn synced(&self, duration: Duration) {
        self.sync_seconds.observe(duration.as_secs_f64());
    }

    fn lost_claim(&self) {
        self.lost_claims.inc();
    }
}

impl Metrics {
    /// Renders everything in the text format, [`CONTENT_TYPE`], with `visits` as the volume's count.
    pub fn text(&self, visits: u64) -> Vec<u8> {
        self.visits.reset();
        self.visits.inc_by(visits);
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("a vector takes any text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::protocol::observer::Observer;

    #[test]
    fn the_text_shows_the_volumes_count_and_the_instances_work() {
        let metrics = Metrics::default();
        metrics.committed(3);
        metrics.committed(40);
        metrics.failed(2);
        metrics.lost_claim();
        metrics.text(1);
        let text = String::from_utf8(metrics.text(483)).unwrap();
        for line in [
            "# TYPE visits_total counter",
            "visits_total 483",
            "visits_commits_total 2",
            "visits_batch_size_sum 43",
            "visits_batch_size_count 2",
            "visits_failed_total 2",
            "visits_lost_claims_total 1",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "no line {line:?} in\n{text}"
            );
        }
    }
}
