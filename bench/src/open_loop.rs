//! Visitors who do not wait for each other: requests at a fixed rate, below the highest that the counter answered. Their
//! latency is what real visitors get, because a slow response does not hold up the next request.

use crate::load::oha;
use crate::peer::Peer;
use crate::rounds::WARM_UP;
use crate::row::Rows;
use crate::running::{Account, Running};
use crate::sample::{Metric, Sample};
use crate::single::Single;
use anyhow::Result;
use std::time::Duration;
use visits_support::environment;

/// The share of the highest rate.
const SHARE: f64 = 0.7;

/// The connections, more than are in use at once.
const CONNECTIONS: usize = 256;

/// The server that is measured.
pub(crate) const SERVER: &str = "visits";

/// Returns why this cannot be measured here, if so.
pub(crate) fn missing() -> Option<String> {
    let missing = environment::OHA.path().err()?;
    Some(format!("cannot load at a fixed rate: {missing:#}"))
}

/// Returns the best median of the server's rows.
fn highest(rows: &Rows) -> Option<f64> {
    let rows = rows.0.iter().filter(|row| row.id == SERVER);
    let medians = rows.filter_map(|row| row.median(Metric::Rate));
    medians.max_by(f64::total_cmp)
}

/// The server under this load.
pub(crate) struct OpenLoop<'a> {
    server: Running<'a>,
    rate: f64,
    samples: Vec<Sample>,
}

impl<'a> OpenLoop<'a> {
    /// Starts the server. If the rounds did not measure its highest rate, the warm-up does.
    pub(crate) fn start(peer: &'a Peer, rows: &Rows, length: Duration) -> Result<Self> {
        let mut server = Running::start(peer)?;
        server.load(CONNECTIONS, WARM_UP)?;
        let highest = match highest(rows) {
            Some(rate) => rate,
            None => server.load(CONNECTIONS, length)?.rate,
        };
        Ok(Self {
            server,
            rate: highest * SHARE,
            samples: Vec::new(),
        })
    }

    /// Returns the rate of the load, in requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Loads the server once.
    pub(crate) fn load(&mut self, length: Duration) -> Result<Sample> {
        let (address, rate) = (self.server.address(), self.rate);
        let load = || oha::load(address, CONNECTIONS, Some(rate), length);
        let sample = self.server.sample(load)?;
        self.samples.push(sample.clone());
        Ok(sample)
    }

    /// Ends the server and returns the figures.
    pub(crate) fn finish(self) -> Result<(Vec<Single>, Account)> {
        let figure = |id, what: &str, metric: Metric| {
            let values: Vec<f64> = self
                .samples
                .iter()
                .filter_map(|sample| metric.of(sample))
                .collect();
            let what = format!(
                "{what} at {:.0} visits/s, {:.0} % of the peak",
                self.rate,
                SHARE * 100.0
            );
            Single::of(id, what, "ms", values)
        };
        let figures = [
            figure("open-p50", "p50", Metric::P50),
            figure("open-p99", "p99", Metric::P99),
            figure("open-p999", "p99.9", Metric::P999),
        ];
        let account = self.server.finish()?;
        Ok((figures.into_iter().flatten().collect(), account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    #[test]
    fn the_highest_rate_is_the_best_median_of_the_counter() {
        let row = |id: &str, connections, rate| Row {
            id: id.into(),
            connections,
            samples: vec![Sample {
                rate,
                ..Sample::default()
            }],
            ..Row::default()
        };
        let rows = Rows(vec![
            row("visits", 32, 1000.0),
            row("visits", 128, 2000.0),
            row("hello", 32, 9000.0),
        ]);
        assert_eq!(highest(&rows), Some(2000.0));
        assert_eq!(highest(&Rows(vec![])), None);
    }
}
