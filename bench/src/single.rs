//! A figure that is measured apart from the rounds.

use crate::statistics::median;
use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Single {
    /// Its name in results and in the goals.
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) unit: String,
    /// The median of the measurements.
    pub(crate) value: f64,
    pub(crate) rounds: Vec<f64>,
}

impl Single {
    /// Returns the figure of these measurements, if there are any.
    pub(crate) fn of(
        id: &str,
        what: impl Into<String>,
        unit: &str,
        rounds: Vec<f64>,
    ) -> Option<Self> {
        Some(Self {
            id: id.to_owned(),
            what: what.into(),
            unit: unit.to_owned(),
            value: median(rounds.iter().copied())?,
            rounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_measurements() {
        let single = Single::of("start", "start", "ms", vec![9.0, 30.0, 10.0]);
        assert_eq!(single.map(|single| single.value), Some(10.0));
        assert_eq!(Single::of("start", "start", "ms", vec![]), None);
    }
}
