//! The results of a run as JSON: a whole one for people and charts, and a flat one for scripts.

use crate::machine::{Machine, Versions};
use crate::row::{Row, Rows};
use crate::sample::{Metric, Sample};
use crate::single::Single;
use crate::statistics::median;
use crate::targets::Reached;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;
use visits_support::files;

/// The number of the JSON's layout. It changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    schema: u32,
    /// The day, in UTC.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) rows: Vec<Entry>,
    pub(crate) singles: Vec<Single>,
    pub(crate) targets: Vec<Reached>,
    /// What was not measured, and why.
    pub(crate) skipped: Vec<String>,
}

/// A row with its medians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) server: String,
    pub(crate) title: String,
    pub(crate) connections: usize,
    pub(crate) median: Map<String, Value>,
    pub(crate) answered: u64,
    pub(crate) counted: Option<u64>,
    pub(crate) lost: Option<u64>,
    pub(crate) errors: u64,
    pub(crate) samples: Vec<Sample>,
}

impl Results {
    /// Collects a run.
    pub(crate) fn new(
        (rounds, seconds): (usize, u64),
        rows: &Rows,
        singles: Vec<Single>,
        targets: Vec<Reached>,
        skipped: Vec<String>,
    ) -> Result<Self> {
        let day = time::macros::format_description!("[year]-[month]-[day]");
        Ok(Self {
            schema: SCHEMA,
            date: time::OffsetDateTime::now_utc().format(day)?,
            machine: Machine::here(),
            versions: Versions::here(),
            rounds,
            seconds,
            rows: rows.0.iter().map(Entry::of).collect(),
            singles,
            targets,
            skipped,
        })
    }

    /// Writes all of it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self).context("the results as JSON")?;
        json.push('\n');
        files::replace(path, json.as_bytes())
    }

    /// Writes one key for each figure, such as `visits.32.rate`.
    pub(crate) fn write_flat(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(&self.flat()).context("the results as JSON")?;
        json.push('\n');
        files::replace(path, json.as_bytes())
    }

    /// Reads what [`Results::write`] wrote, or returns nothing if there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let json =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let results: Self = serde_json::from_slice(&json)
            .with_context(|| format!("{} holds no results", path.display()))?;
        ensure!(
            results.schema == SCHEMA,
            "{}: layout {} instead of {SCHEMA}",
            path.display(),
            results.schema
        );
        Ok(Some(results))
    }

    /// Returns the median share of the machine that other programs used during the loads, in percent.
    pub(crate) fn others(&self) -> Option<f64> {
        let samples = self.rows.iter().flat_map(|row| &row.samples);
        let share = median(samples.filter_map(|sample| Metric::Others.of(sample)))?;
        Some(share * 100.0)
    }

    /// Returns the rows in which the counter lost visits or answered some with errors, which it must never do.
    pub(crate) fn failures(&self) -> Vec<String> {
        let ours = self
            .rows
            .iter()
            .filter(|row| row.server.starts_with("visits") || row.server == "pod-visits");
        let failed = ours.filter(|row| row.errors > 0 || row.lost.is_some_and(|lost| lost > 0));
        let line = |row: &Entry| {
            let (lost, errors) = (row.lost.unwrap_or(0), row.errors);
            format!(
                "{} with {} connections: {lost} lost, {errors} errors",
                row.title, row.connections
            )
        };
        failed.map(line).collect()
    }

    fn flat(&self) -> Map<String, Value> {
        let mut flat = Map::new();
        for entry in &self.rows {
            let mut set = |name: &str, value: Value| {
                let key = format!("{}.{}.{name}", entry.server, entry.connections);
                flat.insert(key, value);
            };
            for (name, value) in &entry.median {
                set(name, value.clone());
            }
            set("errors", entry.errors.into());
            set("answered", entry.answered.into());
            set("counted", entry.counted.into());
            set("lost", entry.lost.into());
        }
        for single in &self.singles {
            flat.insert(single.id.clone(), single.value.into());
        }
        for target in &self.targets {
            flat.insert(format!("target.{}.value", target.id), target.value.into());
            flat.insert(format!("target.{}.met", target.id), target.met.into());
        }
        flat.insert("date".into(), self.date.clone().into());
        flat.insert("commit".into(), self.versions.commit.clone().into());
        flat
    }
}

impl Entry {
    fn of(row: &Row) -> Self {
        let medians = Metric::ALL.iter().filter_map(|metric| {
            let median = row.median(*metric)?;
            Some((metric.name().to_owned(), Value::from(median)))
        });
        Self {
            server: row.id.clone(),
            title: row.title.clone(),
            connections: row.connections,
            median: medians.collect(),
            answered: row.account.answered,
            counted: row.account.counted,
            lost: row.account.lost(),
            errors: row.account.errors,
            samples: row.samples.clone(),
        }
    }

    /// Returns the median of a figure.
    pub(crate) fn figure(&self, metric: Metric) -> Option<f64> {
        self.median.get(metric.name())?.as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::running::Account;

    #[test]
    fn the_flat_results_have_a_key_for_each_figure() {
        let sample = |rate| Sample {
            rate,
            cpu_us: Some(70.0),
            ..Sample::default()
        };
        let row = Row {
            id: "visits".into(),
            connections: 32,
            samples: vec![sample(1.0), sample(3.0)],
            account: Account {
                answered: 4,
                counted: Some(3),
                errors: 0,
            },
            ..Row::default()
        };
        let start = Single::of("start", "", "ms", vec![11.0]);
        let results = Results::new(
            (2, 1),
            &Rows(vec![row]),
            start.into_iter().collect(),
            vec![],
            vec![],
        );
        let results = results.expect("results");
        let flat = results.flat();
        assert_eq!(flat["visits.32.rate"], 2.0);
        assert_eq!(flat["visits.32.cpu_us"], 70.0);
        assert_eq!(flat["visits.32.lost"], 1);
        assert_eq!(flat["start"], 11.0);
        assert!(!flat.contains_key("visits.32.p99_ms"));
        assert_eq!(
            results.failures(),
            [" with 32 connections: 1 lost, 0 errors"]
        );
    }

    #[test]
    fn only_the_counter_on_our_host_must_not_lose_visits() {
        let row = |id: &str| Row {
            id: id.into(),
            title: id.into(),
            account: Account {
                answered: 2,
                counted: Some(1),
                errors: 0,
            },
            ..Row::default()
        };
        let rows = Rows(
            [
                "visits-2-hosts",
                "pod-visits",
                "pod-wasmtime-visits",
                "naive",
            ]
            .map(row)
            .into(),
        );
        let results = Results::new((1, 1), &rows, vec![], vec![], vec![]).expect("results");
        let failed = results.failures();
        assert!(failed[0].starts_with("visits-2-hosts with"), "{failed:?}");
        assert!(failed[1].starts_with("pod-visits with"), "{failed:?}");
        assert_eq!(failed.len(), 2, "{failed:?}");
    }
}
