//! The results as text on the terminal: a table of the rows, and one of the goals.

use crate::results::Results;
use crate::sample::Metric;
use crate::single::Single;

/// The change of a count of instructions, in percent, that is a regression: several times what two runs differ by.
const REGRESSION: f64 = 5.0;

/// Prints every row and every goal, and the change of the instructions since the committed run.
pub(crate) fn print(results: &Results, committed: Option<&Results>) {
    println!("\n{}", results.machine.line());
    rows(results);
    if let Some(others) = results.others() {
        println!("other programs used {others:.0} % of this machine during the loads (median)");
    }
    for single in &results.singles {
        let figure = text(Some(single.value), 1);
        println!("{}: {figure} {}", single.what, single.unit);
    }
    for line in committed
        .iter()
        .flat_map(|committed| changes(results, committed))
    {
        println!("{line}");
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

/// Returns how the counts of instructions differ from those of another run.
fn changes(results: &Results, committed: &Results) -> Vec<String> {
    let counts = results
        .singles
        .iter()
        .filter(|single| single.unit == "instructions");
    let change = |now: &Single| {
        let before = committed
            .singles
            .iter()
            .find(|single| single.id == now.id)?;
        let percent = (now.value / before.value - 1.0) * 100.0;
        let note = if percent >= REGRESSION {
            ": a regression"
        } else {
            ""
        };
        let commit = &committed.versions.commit;
        Some(format!(
            "{percent:+.1} % since {commit}, {}{note}",
            now.what
        ))
    };
    counts.filter_map(change).collect()
}

/// Returns a figure with this many digits after the point, or a dash if there is none.
fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Rows;

    #[test]
    fn more_instructions_than_two_runs_differ_by_are_a_regression() {
        let results = |count| {
            let singles = Single::of("instructions", "a visit", "instructions", vec![count]);
            let singles = singles.into_iter().collect();
            Results::new((1, 1), &Rows::default(), singles, vec![], vec![]).expect("results")
        };
        let before = results(1000.0);
        let line = |count| changes(&results(count), &before).join("");
        assert!(
            line(1060.0).starts_with("+6.0 % since "),
            "{}",
            line(1060.0)
        );
        assert!(
            line(1060.0).ends_with(", a visit: a regression"),
            "{}",
            line(1060.0)
        );
        assert!(line(1020.0).ends_with(", a visit"), "{}", line(1020.0));
        assert!(line(900.0).starts_with("-10.0 % since "), "{}", line(900.0));
    }
}
