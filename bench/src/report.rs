//! The results as text: two tables on the terminal.

use crate::results::Results;
use crate::sample::Metric;

/// Prints every row and every goal.
pub(crate) fn print(results: &Results) {
    println!("\n{}", results.machine.line());
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
    for single in &results.singles {
        println!(
            "{}: {} {}",
            single.what,
            text(Some(single.value), 1),
            single.unit
        );
    }
    println!(
        "\n{:72} {:>9} {:>9}  met  rounds",
        "target", "goal", "reached"
    );
    for target in &results.targets {
        let met = match target.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let rounds: Vec<_> = target
            .rounds
            .iter()
            .take(10)
            .map(|round| text(Some(*round), 2))
            .collect();
        let what = format!("{} ({})", target.what, target.unit);
        println!(
            "{what:72} {:>9} {:>9}  {met:3}  {}",
            target.target,
            text(target.value, 2),
            rounds.join(" ")
        );
    }
    for skipped in &results.skipped {
        println!("not measured: {skipped}");
    }
}

/// Returns a figure with this many digits after the point, or a dash if there is none.
fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}
