//! What one load of one server showed.

use crate::server::Memory;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The responses of one load, as its client counted them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// How long the load lasted.
    pub(crate) length: Duration,
    /// Successful responses.
    pub(crate) answered: u64,
    /// Responses with another status, and connections that failed.
    pub(crate) errors: u64,
    /// Milliseconds within which half of the responses arrived.
    pub(crate) p50: Option<f64>,
    /// Milliseconds within which 99 % of the responses arrived.
    pub(crate) p99: Option<f64>,
    /// Milliseconds within which 99.9 % of the responses arrived.
    pub(crate) p999: Option<f64>,
}

impl Load {
    /// Returns several loads that ran at the same time as one. Its percentiles are the largest, which the true ones do
    /// not exceed.
    pub(crate) fn together(loads: &[Self]) -> Self {
        let largest = |percentile: fn(&Self) -> Option<f64>| {
            let values = loads.iter().filter_map(percentile);
            values.max_by(f64::total_cmp)
        };
        Self {
            length: loads
                .iter()
                .map(|load| load.length)
                .max()
                .unwrap_or_default(),
            answered: loads.iter().map(|load| load.answered).sum(),
            errors: loads.iter().map(|load| load.errors).sum(),
            p50: largest(|load| load.p50),
            p99: largest(|load| load.p99),
            p999: largest(|load| load.p999),
        }
    }
}

/// One load of one server. The names of the fields are those of the results' JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Successful responses per second.
    pub(crate) rate: f64,
    /// Microseconds of CPU, user and system, per successful response.
    pub(crate) cpu_us: Option<f64>,
    /// Latencies in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// See [`Load::p99`].
    pub(crate) p99_ms: Option<f64>,
    /// See [`Load::p999`].
    pub(crate) p999_ms: Option<f64>,
    /// Resident memory after the load.
    pub(crate) rss_mib: Option<f64>,
    /// Anonymous memory after the load.
    pub(crate) anon_mib: Option<f64>,
    /// The share of the machine that other programs used meanwhile, between 0 and 1.
    pub(crate) others: Option<f64>,
    /// Responses that were no success, and connections that failed.
    pub(crate) errors: u64,
}

impl Sample {
    /// Returns the sample of a load during which the server used this CPU time.
    pub(crate) fn new(load: &Load, cpu: Duration, memory: Memory, others: f64) -> Self {
        let answered = load.answered as f64;
        let cpu_us = (load.answered > 0).then(|| cpu.as_secs_f64() * 1e6 / answered);
        Self {
            rate: answered / load.length.as_secs_f64(),
            cpu_us,
            p50_ms: load.p50,
            p99_ms: load.p99,
            p999_ms: load.p999,
            rss_mib: Some(memory.resident),
            anon_mib: Some(memory.anonymous),
            others: Some(others),
            errors: load.errors,
        }
    }
}

/// A figure of samples that a result states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// [`Sample::rate`]
    Rate,
    /// [`Sample::cpu_us`]
    Cpu,
    /// [`Sample::p50_ms`]
    P50,
    /// [`Sample::p99_ms`]
    P99,
    /// [`Sample::p999_ms`]
    P999,
    /// [`Sample::rss_mib`]
    Resident,
    /// [`Sample::anon_mib`]
    Anonymous,
    /// [`Sample::others`]
    Others,
}

impl Metric {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Rate,
        Self::Cpu,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Resident,
        Self::Anonymous,
        Self::Others,
    ];

    /// Returns its name in the results' JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "cpu_us",
            Self::P50 => "p50_ms",
            Self::P99 => "p99_ms",
            Self::P999 => "p999_ms",
            Self::Resident => "rss_mib",
            Self::Anonymous => "anon_mib",
            Self::Others => "others",
        }
    }

    /// Returns its value in a sample.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Rate => Some(sample.rate),
            Self::Cpu => sample.cpu_us,
            Self::P50 => sample.p50_ms,
            Self::P99 => sample.p99_ms,
            Self::P999 => sample.p999_ms,
            Self::Resident => sample.rss_mib,
            Self::Anonymous => sample.anon_mib,
            Self::Others => sample.others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_divides_by_successful_responses() {
        let load = Load {
            length: Duration::from_secs(2),
            answered: 1000,
            errors: 500,
            ..Load::default()
        };
        let sample = Sample::new(&load, Duration::from_millis(100), Memory::default(), 0.0);
        assert_eq!(sample.rate, 500.0);
        assert_eq!(sample.cpu_us, Some(100.0));
        assert_eq!(sample.errors, 500);
    }

    #[test]
    fn loads_together_add_responses_and_keep_the_largest_percentile() {
        let load = |answered, p99| Load {
            length: Duration::from_secs(1),
            answered,
            p99: Some(p99),
            ..Load::default()
        };
        let together = Load::together(&[load(10, 1.0), load(20, 3.0)]);
        assert_eq!(
            (together.answered, together.p99, together.p50),
            (30, Some(3.0), None)
        );
        assert_eq!(together.length, Duration::from_secs(1));
    }
}
