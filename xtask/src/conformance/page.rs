//! docs/conformance.md: the part between two markers is written from the results and the reasons.

use super::benchmark;
use super::difference::{Difference, Explained};
use super::reasons::Reasons;
use super::results::{Kept, Results};
use super::suite::Runtime;
use crate::workspace;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::PathBuf;

const BEGIN: &str = "<!-- written by make conformance -->\n";
const END: &str = "<!-- end -->";

/// Returns one of the lists of a difference.
type List = fn(&Difference) -> &[Explained];

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    let path = path();
    let text = rendered()?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn path() -> PathBuf {
    workspace::root().join("docs/conformance.md")
}

/// Returns the page's text, with the part between the markers as the results are now.
fn rendered() -> Result<String> {
    let path = path();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) =
        parts.with_context(|| format!("{} lacks the line {BEGIN} or {END}", path.display()))?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", written()?))
}

fn written() -> Result<String> {
    let (results, reasons) = (Results::all()?, Reasons::read()?);
    let mut page = String::from(
        "\n| suite | version | on | day | run | passed with runc | passed with preopen |\n|---|---|---|---|---|---|---|\n",
    );
    let differences: Vec<_> = results
        .iter()
        .map(|results| Difference::of(results, &reasons))
        .collect();
    for (results, difference) in results.iter().zip(&differences) {
        let day = results
            .with(Runtime::Preopen)
            .or(results.with(Runtime::Runc));
        let day = day.map_or("", |Kept { date, .. }| date.as_str());
        let run = difference.runc.run().max(difference.preopen.run());
        writeln!(
            page,
            "| {} | {} | {} | {day} | {run} | {} | {} |",
            results.suite,
            results.version,
            results.platform,
            difference.runc.passed,
            difference.preopen.passed
        )?;
    }
    let sections: [(_, List); 3] = [
        ("Tests that fail with preopen alone", |one| {
            &one.preopen_fails
        }),
        ("Tests that fail with runc alone", |one| &one.runc_fails),
        ("Tests that fail with both", |one| &one.both_fail),
    ];
    for (title, of) in sections {
        write!(page, "\n### {title}\n\n")?;
        let mut none = true;
        for difference in &differences {
            for Explained { test, reason } in of(difference) {
                none = false;
                let reason = reason.as_deref().unwrap_or("The reason is not known.");
                writeln!(page, "- {}: `{test}`. {reason}", difference.title)?;
            }
        }
        if none {
            page += "None.\n";
        }
    }
    page += &benchmark::section()?;
    page.push('\n');
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_committed_results() {
        let page = std::fs::read_to_string(path()).expect("the page");
        let rendered = rendered().expect("the results are readable");
        assert!(
            page == rendered,
            "docs/conformance.md is not what the results say: run `cargo xtask conformance --render`"
        );
    }
}
