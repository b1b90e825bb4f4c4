//! The rows of a run: a server with a number of connections, and the loads of all rounds.

use crate::running::Account;
use crate::sample::{Metric, Sample};
use crate::statistics::{median, ratios};

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// The server's name.
    pub(crate) id: String,
    /// Its description.
    pub(crate) title: String,
    pub(crate) connections: usize,
    /// One sample for each round.
    pub(crate) samples: Vec<Sample>,
    /// What the server answered and counted in all rounds and the warm-up.
    pub(crate) account: Account,
}

impl Row {
    /// Returns the name of the row in results, such as `visits.32`.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.id, self.connections)
    }

    /// Returns a description of the row for people.
    pub(crate) fn label(&self) -> String {
        format!("{}, c={}", self.title, self.connections)
    }

    /// Returns a figure of each round.
    pub(crate) fn values(&self, metric: Metric) -> Vec<f64> {
        let samples = self.samples.iter();
        samples.filter_map(|sample| metric.of(sample)).collect()
    }

    /// Returns the median of a figure.
    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        median(self.values(metric))
    }
}

/// All rows of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    /// Returns a row by its name.
    pub(crate) fn get(&self, name: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.name() == name)
    }

    /// Returns the ratio of a figure in one row to that in another, for each round.
    pub(crate) fn ratios(&self, metric: Metric, of: &str, to: &str) -> Option<Vec<f64>> {
        let (of, to) = (self.get(of)?.values(metric), self.get(to)?.values(metric));
        let ratios = ratios(&of, &to);
        (!ratios.is_empty()).then_some(ratios)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a row of rounds with these rates.
    pub(crate) fn row(id: &str, rates: &[f64]) -> Row {
        let samples = rates.iter().map(|rate| Sample {
            rate: *rate,
            ..Sample::default()
        });
        Row {
            id: id.to_owned(),
            connections: 32,
            samples: samples.collect(),
            ..Row::default()
        }
    }

    #[test]
    fn ratios_are_those_of_the_same_rounds() {
        let rows = Rows(vec![row("a", &[1.0, 6.0]), row("b", &[2.0, 3.0])]);
        assert_eq!(
            rows.ratios(Metric::Rate, "a.32", "b.32"),
            Some(vec![0.5, 2.0])
        );
        assert_eq!(rows.ratios(Metric::Cpu, "a.32", "b.32"), None);
        assert_eq!(rows.ratios(Metric::Rate, "a.32", "c.32"), None);
        assert_eq!(
            rows.get("a.32").and_then(|row| row.median(Metric::Rate)),
            Some(3.5)
        );
    }
}
