//! The counter under several load generators in turn, of different projects. If they agree, the figures are not those of a
//! generator: each must receive as many responses as the counter counts visits, and the CPU time of a visit must be the same.
//!
//! Their rates differ, because a generator that needs more CPU leaves less to the server on the same machine.

use crate::load::h2load::{self, Http};
use crate::load::{oha, wrk};
use crate::peer::Peer;
use crate::rounds::WARM_UP;
use crate::running::{Account, Running};
use crate::sample::{Load, Metric, Sample};
use crate::single::Single;
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use visits_support::environment;
use visits_support::programs;

/// The connections of each load.
const CONNECTIONS: usize = 32;

/// A load generator.
#[derive(Clone, Copy)]
struct Generator {
    id: &'static str,
    title: &'static str,
    load: fn(SocketAddr, Duration) -> Result<Load>,
}

/// All of them. The first is the one of the other figures.
const GENERATORS: [Generator; 4] = [
    Generator {
        id: "wrk",
        title: "wrk",
        load: |address, length| wrk::load(Command::new("wrk"), address, CONNECTIONS, length),
    },
    Generator {
        id: "oha",
        title: "oha",
        load: |address, length| oha::load(address, CONNECTIONS, None, length),
    },
    Generator {
        id: "h2load",
        title: "h2load",
        load: |address, length| h2load::load(address, Http::One, CONNECTIONS, length),
    },
    Generator {
        id: "h2load-2",
        title: "h2load with HTTP/2",
        load: |address, length| h2load::load(address, Http::Two, CONNECTIONS, length),
    },
];

/// Returns why this cannot be measured here, if so.
pub(crate) fn missing() -> Option<String> {
    if let Err(missing) = environment::OHA.path() {
        return Some(format!("cannot compare load generators: {missing:#}"));
    }
    let found = programs::find(&[h2load::PROGRAM]).is_some();
    (!found).then(|| {
        "cannot compare load generators: h2load is not installed (on Debian: apt-get install nghttp2-client)".into()
    })
}

/// The counter under these loads.
pub(crate) struct Generators<'a> {
    server: Running<'a>,
    /// The samples of each generator.
    samples: [Vec<Sample>; GENERATORS.len()],
}

impl<'a> Generators<'a> {
    /// Starts the server.
    pub(crate) fn start(peer: &'a Peer) -> Result<Self> {
        let mut server = Running::start(peer)?;
        server.load(CONNECTIONS, WARM_UP)?;
        Ok(Self {
            server,
            samples: Default::default(),
        })
    }

    /// Returns the generators' positions and titles.
    pub(crate) fn titles() -> impl Iterator<Item = (usize, &'static str)> {
        GENERATORS.iter().map(|it| it.title).enumerate()
    }

    /// Loads the server once with a generator.
    ///
    /// # Errors
    /// Returns an error if a request failed.
    pub(crate) fn load(&mut self, position: usize, length: Duration) -> Result<Sample> {
        let (address, generator) = (self.server.address(), GENERATORS[position]);
        let sample = self.server.sample(|| (generator.load)(address, length))?;
        ensure!(
            sample.errors == 0,
            "{}: {} requests failed",
            generator.title,
            sample.errors
        );
        self.samples[position].push(sample.clone());
        Ok(sample)
    }

    /// Ends the server and returns the figures.
    pub(crate) fn finish(self) -> Result<(Vec<Single>, Account)> {
        let mut singles = Vec::new();
        for (generator, samples) in GENERATORS.iter().zip(&self.samples) {
            let Generator { id, title, .. } = generator;
            for (metric, name, what, unit) in [
                (Metric::Cpu, "cpu", "CPU per visit", "µs"),
                (Metric::Rate, "rate", "visits", "/s"),
            ] {
                let values = samples.iter().filter_map(|sample| metric.of(sample));
                singles.extend(Single::of(
                    &format!("generators-{id}-{name}"),
                    format!("{what} under {title}, {CONNECTIONS} connections"),
                    unit,
                    values.collect(),
                ));
            }
        }
        Ok((singles, self.server.finish()?))
    }
}

/// Returns the most visits that may be counted and not answered: those in flight when a load ends.
pub(crate) fn in_flight(rounds: usize) -> u64 {
    ((rounds * GENERATORS.len() + 1) * CONNECTIONS) as u64
}
