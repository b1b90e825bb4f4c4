//! The goals of the project.

use crate::sample::Metric;

/// A limit for a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// How the value of a goal is computed from the rows of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// The median of the rounds' ratios of a figure in one row to that in another.
    Ratio(Metric, &'static str, &'static str),
    /// The median of a figure.
    Median(Metric, &'static str),
    /// A figure that was measured apart from the rounds, by its name.
    Single(&'static str),
}

/// One goal.
pub(crate) struct Target {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: Value,
    pub(crate) limit: Option<Limit>,
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
pub(crate) const TARGETS: &[Target] = &[
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
        "rate-other",
        "visits/s of the other build beside this one",
        Metric::Rate,
        "other.32",
        "visits.32",
        None,
    ),
    ratio(
        "cpu-other",
        "CPU per visit of the other build beside this one",
        Metric::Cpu,
        "other.32",
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
    /// Returns whether a value is within the limit.
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// Returns the limit as text.
    pub(crate) fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}
