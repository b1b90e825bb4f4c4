//! What a run reached of each goal.

use crate::goals::{Limit, TARGETS, Value};
use crate::row::Rows;
use crate::single::Single;
use crate::statistics::median;
use serde::{Deserialize, Serialize};

/// The limit of a value that is only stated.
const STATED: &str = "stated";

/// What a run reached of one goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) target: String,
    pub(crate) unit: String,
    /// Nothing if the run did not measure it.
    pub(crate) value: Option<f64>,
    /// The value of each round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) met: Option<bool>,
}

/// Returns what a run reached of each goal. Values without a limit are left out if the run did not measure them.
pub(crate) fn reached(rows: &Rows, singles: &[Single]) -> Vec<Reached> {
    let reached = TARGETS.iter().map(|target| {
        let rounds = rounds(target.value, rows, singles);
        let value = median(rounds.iter().copied());
        Reached {
            id: target.id.to_owned(),
            what: target.what.to_owned(),
            target: target.limit.map_or_else(|| STATED.into(), Limit::text),
            unit: target.unit.to_owned(),
            value,
            met: value
                .zip(target.limit)
                .map(|(value, limit)| limit.is_met(value)),
            rounds,
        }
    });
    let all = reached.filter(|reached| reached.target != STATED || reached.value.is_some());
    all.collect()
}

/// Returns a value in each round, or nothing if the run did not measure it.
fn rounds(value: Value, rows: &Rows, singles: &[Single]) -> Vec<f64> {
    let rounds = match value {
        Value::Ratio(metric, of, to) => rows.ratios(metric, of, to),
        Value::Median(metric, of) => rows.get(of).map(|row| row.values(metric)),
        Value::Single(id) => {
            let single = singles.iter().find(|single| single.id == id);
            single.map(|single| single.rounds.clone())
        }
    };
    rounds.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

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
        let start = Single::of("start", "", "ms", vec![13.0]);
        let reached = reached(&Rows::default(), &[start.expect("a figure")]);
        assert_eq!(find(&reached, "memory").met, None);
        assert!(!reached.iter().any(|reached| reached.id == "cpu-other"));
        assert_eq!(find(&reached, "start").met, Some(false));
    }
}
