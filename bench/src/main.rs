//! `cargo xtask bench`: measures the counter beside its peers, in one run, and prints what was reached of each goal.
//!
//! Machines drift. So all servers run at once, each round loads every one of them in turn, and ratios are those of one
//! round. A row shows the median of the rounds. The load comes from `wrk`, which uses little of the machine.
//!
//! - [`peer`]: the servers; [`plan`]: which of them are measured, and with how many connections
//! - [`server`]: what runs: a [`process`], or a [`pod`] of a [`cluster`]
//! - [`address`], [`running`]: an address, and a server with its volume; [`volume`]: what it counted
//! - [`load`]: the load generators; [`others`]: programs that disturb a load; [`disk`]: the disk's sync time
//! - [`rounds`]: the rounds; [`progress`]: their steps on the terminal
//! - [`parts`]: what is measured apart from the rounds: [`open_loop`], [`generators`], [`mod@start`], [`instructions`],
//!   [`sizes`]
//! - [`sample`], [`mod@single`], [`mod@row`], [`statistics`]: the figures
//! - [`goals`], [`targets`]: the goals, and what was reached of them
//! - [`results`], [`machine`]: JSON; [`report`]: tables on the terminal; [`page`], [`chart`]: docs/performance.md

mod address;
mod chart;
mod cluster;
mod disk;
mod generators;
mod goals;
mod instructions;
mod load;
mod machine;
mod open_loop;
mod others;
mod page;
mod parts;
mod peer;
mod plan;
mod pod;
mod process;
mod progress;
mod report;
mod results;
mod rounds;
mod row;
mod running;
mod sample;
mod server;
mod single;
mod sizes;
mod start;
mod statistics;
mod targets;
mod volume;

use anyhow::{Result, ensure};
use clap::Parser;
use parts::Parts;
use plan::Choice;
use progress::Progress;
use results::Results;
use rounds::Schedule;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use visits_support::process::exit_code;

/// Measure the counter beside its peers.
#[derive(Parser)]
#[command(bin_name = "make bench")]
struct Options {
    /// Number of loads of each row
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Duration of each load, in seconds
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_values_t = plan::CONNECTIONS)]
    connections: Vec<usize>,
    /// Measure only these: servers such as `visits`, rows such as `visits.32`, or other parts of a run
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Two rounds of 2 seconds: shows that everything runs, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Keep the results in the repository: bench/results, and the tables and charts of docs/performance.md
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    save: bool,
    /// Measure nothing: write the tables and charts of docs/performance.md again
    #[arg(long)]
    render: bool,
    /// Remove what a run has left in the cluster, after the end of stdin
    #[arg(long, hide = true)]
    clean_up: bool,
    #[command(flatten)]
    other: peer::Other,
    /// The directory for the results of this run
    #[arg(long, env = "BENCH_TARGET", hide = true, default_value = "target")]
    target: PathBuf,
}

impl Options {
    fn schedule(&self) -> Schedule {
        let (rounds, seconds) = if self.quick {
            (2, 2)
        } else {
            (self.rounds, self.seconds)
        };
        Schedule {
            rounds,
            length: Duration::from_secs(seconds),
        }
    }
}

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if options.clean_up {
        return cluster::clean_up();
    }
    // The current directory is the repository's top.
    let repository = Path::new(".");
    if options.render {
        return page::render(repository);
    }
    let schedule = options.schedule();
    let choice = Choice {
        only: options.only.clone(),
        connections: options.connections.clone(),
    };
    let peers = peer::all(&options.other);
    let (servers, mut skipped) = available(&peers, &choice);
    let rows = choice.rows(&servers);
    let parts = Parts::of(&choice, &peers, &mut skipped);
    let steps = rounds::steps(rows.len(), &schedule) + parts.steps(&schedule);
    ensure!(
        steps > 0,
        "nothing to measure: --only names nothing that can be measured here"
    );
    let estimate = schedule.estimate(rows.len()) + parts.estimate(&schedule);
    let mut progress = Progress::new(steps, estimate);
    let rows = rounds::run(&peers, &rows, &schedule, &mut progress)?;
    let mut singles = parts.run(&rows, &schedule, &mut progress)?;
    singles.extend(sizes::measure(&options.target));
    let targets = targets::reached(&rows, &singles);
    let run = (schedule.rounds, schedule.length.as_secs());
    let results = Results::new(run, &rows, singles, targets, skipped)?;
    results.write(&options.target.join("bench-results.json"))?;
    results.write_flat(&options.target.join("bench.json"))?;
    report::print(&results, page::committed(repository)?.as_ref());
    println!("took {}", progress.elapsed());
    if options.save {
        page::save(repository, &results)?;
    }
    let failed = results.failures();
    ensure!(
        failed.is_empty(),
        "the counter failed visits: {}",
        failed.join(", ")
    );
    Ok(())
}

/// Returns the names of the servers that can be started here, and why others cannot.
fn available(peers: &[peer::Peer], choice: &Choice) -> (Vec<&'static str>, Vec<String>) {
    let (mut servers, mut skipped) = (vec![], vec![]);
    for peer in peers {
        match peer.missing() {
            None => servers.push(peer.id),
            // All pods have the same reason if no cluster runs.
            Some(reason) if choice.has(peer.id) && !skipped.contains(&reason) => {
                println!("skipped: {reason}");
                skipped.push(reason);
            }
            Some(_) => {}
        }
        if peer.id == "visits" {
            servers.push(plan::DISK);
        }
    }
    (servers, skipped)
}
