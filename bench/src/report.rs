//! The results as text on the terminal: a table of the rows, and one of the goals.

use crate::results::Results;
use crate::sample::Metric;

/// Prints every row and every goal.
pub(crate) fn print(results: &Results) {
    println!("\n{}", results.machine.line());
    rows(results);
    if let Some(others) = results.others() {
        println!("other programs used {others:.0} % of this machine during the loads (median)");
    }
    for single in &results.singles {
        let figure = text(Some(single.value), 1);
        println!("{}: {figure} {}", single.what, single.unit);
    }
    goals(results);
    for skipped in &results.skipped {
        println!("not measured: {skipped}");
    }
}

fn rows(results: &Results) {
    println!(
        "\n{:44} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>9}",
        "server (medians)",
        "conns",
        "rate/s",
        "CPU us",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "anon MiB",
        "errors",
        "lost"
    );
    for entry in &results.rows {
        let figure = |metric, digits| text(entry.figure(metric), digits);
        println!(
            "{:44} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>9}",
            entry.title,
            entry.connections,
            figure(Metric::Rate, 0),
            figure(Metric::Cpu, 1),
            figure(Metric::P50, 2),
            figure(Metric::P99, 2),
            figure(Metric::P999, 2),
            figure(Metric::Anonymous, 1),
            entry.errors,
            entry
                .lost
                .map_or_else(|| "-".into(), |lost| lost.to_string()),
        );
    }
    println!();
}

/// The most rounds that a line shows.
const SHOWN: usize = 9;

fn goals(results: &Results) {
    println!(
        "\n{:72} {:>8} {:>8}  met  rounds",
        "goal", "target", "reached"
    );
    let (measured, others): (Vec<_>, Vec<_>) = results
        .targets
        .iter()
        .partition(|target| target.value.is_some());
    for target in measured {
        let met = match target.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let rounds = target.rounds.iter().take(SHOWN);
        let rounds: Vec<_> = rounds.map(|round| text(Some(*round), 2)).collect();
        println!(
            "{:72} {:>8} {:>8}  {met:3}  {}",
            format!("{} ({})", target.what, target.unit),
            target.target,
            text(target.value, 2),
            rounds.join(" ")
        );
    }
    let others: Vec<_> = others.iter().map(|target| target.id.as_str()).collect();
    if !others.is_empty() {
        println!("goals that this run did not measure: {}", others.join(", "));
    }
    println!(
        "memory of one more pod: `make test ARGS=containerd` measures it (tests/containerd/density.rs)"
    );
}

/// Returns a figure with this many digits after the point, or a dash if there is none.
fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}
