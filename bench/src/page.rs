//! The results in the repository: JSON, the tables in docs/performance.md between two markers, and the charts. A test
//! compares the tables and the charts with the JSON, so they never differ.

use crate::chart::{self, DARK, LIGHT, number};
use crate::results::{Entry, Results};
use crate::sample::Metric;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use visits_support::files;

/// The results that are committed.
const JSON: &str = "bench/results/latest.json";

/// The page with the tables.
const PAGE: &str = "docs/performance.md";

/// The charts, for light and dark pages.
const CHARTS: [(&str, chart::Theme); 2] = [
    ("docs/performance-light.svg", LIGHT),
    ("docs/performance-dark.svg", DARK),
];

/// The lines around the tables.
const BEGIN: &str = "<!-- written by make bench -->\n";
const END: &str = "<!-- end -->\n";

/// Writes the results of a run and everything that is made of them.
pub(crate) fn save(repository: &Path, results: &Results) -> Result<()> {
    std::fs::create_dir_all(repository.join("bench/results"))?;
    results.write(&repository.join(JSON))?;
    render(repository)
}

/// Returns the results that are committed, if there are any.
pub(crate) fn committed(repository: &Path) -> Result<Option<Results>> {
    Results::read(&repository.join(JSON))
}

/// Writes the tables and the charts of the committed results.
pub(crate) fn render(repository: &Path) -> Result<()> {
    for (path, text) in rendered(repository)? {
        files::replace(&path, text.as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Returns each file that is made of the committed results, and its text.
fn rendered(repository: &Path) -> Result<Vec<(PathBuf, String)>> {
    let results = committed(repository)?;
    let page = repository.join(PAGE);
    let text = std::fs::read_to_string(&page)
        .with_context(|| format!("cannot read {}", page.display()))?;
    let block = results
        .as_ref()
        .map_or_else(|| "No run is committed yet.\n".into(), tables);
    let text = between_markers(&text, &block)
        .with_context(|| format!("{} lacks the markers of the tables", page.display()))?;
    let mut files = vec![(page, text)];
    for (path, theme) in &CHARTS {
        let chart = results
            .as_ref()
            .and_then(|results| chart::draw(results, theme));
        files.extend(chart.map(|chart| (repository.join(path), chart)));
    }
    Ok(files)
}

/// Returns the text with another block between the markers.
fn between_markers(text: &str, block: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}

/// Returns the tables of a run as Markdown.
fn tables(results: &Results) -> String {
    let mut text = format!(
        "{}, commit {}, {} rounds of {} s. {}. {}; {}.\n\n",
        results.date,
        results.versions.commit,
        results.rounds,
        results.seconds,
        results.machine.line(),
        results.versions.rustc,
        results.versions.wasmtime
    );
    if let Some(others) = results.others() {
        let _ = write!(
            text,
            "Other programs used {others:.0} % of the machine meanwhile (median of all loads).\n\n"
        );
    }
    text += "| goal | target | reached | met |\n|---|---:|---:|---|\n";
    for target in &results.targets {
        let reached = target
            .value
            .map_or_else(|| "-".into(), |value| format!("{value:.2} {}", target.unit));
        let met = match target.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {reached} | {met} |",
            target.what, target.target
        );
    }
    text += "\n| server | connections | requests/s | CPU us | p50 ms | p99 ms | p99.9 ms | anonymous MiB | errors | lost visits |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for entry in &results.rows {
        text += &line(entry);
    }
    text += "\n| measured apart | median |\n|---|---:|\n";
    for single in &results.singles {
        let _ = writeln!(
            text,
            "| {} | {} {} |",
            single.what,
            number(single.value),
            single.unit
        );
    }
    for skipped in &results.skipped {
        let _ = write!(text, "\nNot measured: {skipped}\n");
    }
    text
}

fn line(entry: &Entry) -> String {
    let mut text = format!("| {} | {} |", entry.title, entry.connections);
    let figures = [
        Metric::Rate,
        Metric::Cpu,
        Metric::P50,
        Metric::P99,
        Metric::P999,
        Metric::Anonymous,
    ];
    for metric in figures {
        let figure = entry.figure(metric).map_or_else(|| "-".into(), number);
        let _ = write!(text, " {figure} |");
    }
    let lost = match entry.lost {
        None => "-".into(),
        Some(0) => "0".into(),
        Some(lost) => format!(
            "{} of {}",
            number(lost as f64),
            number(entry.answered as f64)
        ),
    };
    let _ = writeln!(text, " {} | {lost} |", entry.errors);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_charts_are_those_of_the_committed_results() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in rendered(&repository).expect("everything is there") {
            let committed = std::fs::read_to_string(&path);
            let committed = committed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let differs = "differs from bench/results/latest.json: run make bench ARGS=--render";
            assert!(committed == text, "{} {differs}", path.display());
        }
    }

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let changed = between_markers(&page, "new\n").expect("it has markers");
        assert_eq!(changed, format!("before\n{BEGIN}new\n{END}after\n"));
        assert_eq!(between_markers("no markers", "new"), None);
    }
}
