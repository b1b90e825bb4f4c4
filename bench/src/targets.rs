//! The goals of the project, and what a run reached.

use crate::row::Rows;
use crate::sample::Metric;
use crate::statistics::median;
use serde::Serialize;

/// A limit for a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// How a value is computed from the rows of a run.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// The median of the rounds' ratios of a figure in one row to that in another.
    Ratio(Metric, &'static str, &'static str),
    /// The median of a figure.
    Median(Metric, &'static str),
    /// A figure that was measured apart from the rounds, by its name.
    Single(&'static str),
}

/// One goal.
struct Target {
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    value: Value,
    limit: Option<Limit>,
}

/// What a run reached of one goal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Reached {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) target: String,
    pub(crate) unit: &'static str,
    /// Nothing if the run did not measure it.
    pub(crate) value: Option<f64>,
    /// The value of each round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) met: Option<bool>,
}

const fn ratio(
    id: &'static str,
    what: &'static str,
    metric: Metric,
    of: &'static str,
    to: &'static str,
    limit: Option<Limit>,
) -> Target {
    Target {
        id,
        what,
        unit: "x",
        value: Value::Ratio(metric, of, to),
        limit,
    }
}

const fn single(id: &'static str, what: &'static str, unit: &'static str, most: f64) -> Target {
    Target {
        id,
        what,
        unit,
        value: Value::Single(id),
        limit: Some(Limit::AtMost(most)),
    }
}

const fn at_least(value: f64) -> Option<Limit> {
    Some(Limit::AtLeast(value))
}

const fn at_most(value: f64) -> Option<Limit> {
    Some(Limit::AtMost(value))
}

/// The goals.
const TARGETS: &[Target] = &[
    ratio(
        "visits-32",
        "durable visits/s beside wasmtime serve's hello, 32 connections",
        Metric::Rate,
        "visits.32",
        "wasmtime-hello.32",
        at_least(1.1),
    ),
    ratio(
        "visits-128",
        "the same, 128 connections",
        Metric::Rate,
        "visits.128",
        "wasmtime-hello.128",
        at_least(1.1),
    ),
    ratio(
        "hello-32",
        "hello beside wasmtime serve's hello",
        Metric::Rate,
        "hello.32",
        "wasmtime-hello.32",
        at_least(1.6),
    ),
    ratio(
        "cpu-native",
        "CPU per visit beside the native server",
        Metric::Cpu,
        "visits.32",
        "native-visits.32",
        at_most(2.5),
    ),
    ratio(
        "rate-native",
        "durable visits/s beside the native server",
        Metric::Rate,
        "visits.32",
        "native-visits.32",
        at_least(0.55),
    ),
    ratio(
        "cpu-sdk",
        "CPU per visit, handler of spin-sdk's macro beside the counter's",
        Metric::Cpu,
        "sdk-visits.32",
        "visits.32",
        None,
    ),
    ratio(
        "p99-32",
        "p99 of a visit beside wasmtime serve's hello, 32 connections",
        Metric::P99,
        "visits.32",
        "wasmtime-hello.32",
        at_most(1.2),
    ),
    ratio(
        "visits-1000",
        "visits/s with 1,000 connections beside 32",
        Metric::Rate,
        "visits.1000",
        "visits.32",
        at_least(0.95),
    ),
    single(
        "open-p99",
        "p99 at 70 % of the peak, requests at a fixed rate",
        "ms",
        20.0,
    ),
    ratio(
        "visits-1",
        "visits/s with one connection beside the disk's syncs",
        Metric::Rate,
        "visits.1",
        "disk.1",
        at_least(0.7),
    ),
    ratio(
        "hosts-2",
        "2 hosts on one volume beside one host",
        Metric::Rate,
        "visits-2-hosts.32",
        "visits.32",
        at_least(0.5),
    ),
    ratio(
        "hosts-4",
        "4 hosts on one volume beside one host",
        Metric::Rate,
        "visits-4-hosts.32",
        "visits.32",
        at_least(0.5),
    ),
    Target {
        id: "hosts-2-p99",
        what: "p99 of 2 hosts on one volume",
        unit: "ms",
        value: Value::Median(Metric::P99, "visits-2-hosts.32"),
        limit: at_most(50.0),
    },
    Target {
        id: "hosts-4-p99",
        what: "p99 of 4 hosts on one volume",
        unit: "ms",
        value: Value::Median(Metric::P99, "visits-4-hosts.32"),
        limit: at_most(50.0),
    },
    single(
        "start",
        "start of a host to its first 200, warm cache",
        "ms",
        12.0,
    ),
    Target {
        id: "memory",
        what: "anonymous memory of a host after load",
        unit: "MiB",
        value: Value::Median(Metric::Anonymous, "visits.32"),
        limit: at_most(9.0),
    },
    single("image", "size of the counter's image", "KiB", 229.0),
    single(
        "shim",
        "size of the shim without its tools for kubectl exec",
        "MB",
        36.0,
    ),
];

impl Limit {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// A figure that was measured apart from the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Single {
    /// Its name in results and in the goals.
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// All measurements.
    pub(crate) rounds: Vec<f64>,
}

/// Returns what a run reached of each goal.
pub(crate) fn reached(rows: &Rows, singles: &[Single]) -> Vec<Reached> {
    let reached = TARGETS.iter().map(|target| {
        let rounds = target.value.rounds(rows, singles);
        let value = median(rounds.iter().copied());
        Reached {
            id: target.id,
            what: target.what,
            target: target.limit.map_or_else(|| "stated".into(), Limit::text),
            unit: target.unit,
            value,
            met: value
                .zip(target.limit)
                .map(|(value, limit)| limit.is_met(value)),
            rounds,
        }
    });
    reached.collect()
}

impl Value {
    fn rounds(self, rows: &Rows, singles: &[Single]) -> Vec<f64> {
        let rounds = match self {
            Self::Ratio(metric, of, to) => rows.ratios(metric, of, to),
            Self::Median(metric, of) => rows.get(of).map(|row| row.values(metric)),
            Self::Single(id) => singles
                .iter()
                .find(|single| single.id == id)
                .map(|single| single.rounds.clone()),
        };
        rounds.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::sample::Sample;

    fn row(id: &str, rates: &[f64]) -> Row {
        let samples = rates.iter().map(|rate| Sample {
            rate: *rate,
            ..Sample::default()
        });
        Row {
            id: id.into(),
            connections: 32,
            samples: samples.collect(),
            ..Row::default()
        }
    }

    fn find(reached: &[Reached], id: &str) -> Reached {
        let found = reached.iter().find(|reached| reached.id == id);
        found.expect("a goal").clone()
    }

    #[test]
    fn a_goal_is_met_by_the_median_of_its_rounds() {
        let rows = Rows(vec![
            row("hello", &[16.0, 1.0, 17.0]),
            row("visits", &[10.0, 1.0, 1.0]),
            row("wasmtime-hello", &[10.0, 10.0, 10.0]),
        ]);
        let reached = reached(&rows, &[]);
        let hello = find(&reached, "hello-32");
        assert_eq!((hello.value, hello.met), (Some(1.6), Some(true)));
        assert_eq!(hello.rounds, [1.6, 0.1, 1.7]);
        let visits = find(&reached, "visits-32");
        assert_eq!((visits.value, visits.met), (Some(0.1), Some(false)));
    }

    #[test]
    fn a_goal_that_was_not_measured_is_neither_met_nor_missed() {
        let start = Single {
            id: "start",
            what: String::new(),
            unit: "ms",
            value: 13.0,
            rounds: vec![13.0],
        };
        let reached = reached(&Rows::default(), &[start]);
        assert_eq!(find(&reached, "memory").met, None);
        assert_eq!(find(&reached, "start").met, Some(false));
    }
}
