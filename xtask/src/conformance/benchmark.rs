//! critest's benchmark: how long a pod and a container take to be created, started, stopped and removed. Rounds with runc and
//! with preopen take turns, each on a new node, because machines drift. A figure is the median of all rounds.

use super::critest;
use super::node::{self, CRITEST, Node};
use super::suite::{Run, Runtime};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROUNDS: usize = 3;

/// How many pods and containers a round measures, one at a time.
const PARAMETERS: &str = "containersNumber: 20
containersNumberParallel: 1
podsNumber: 20
podsNumberParallel: 1
";

/// The reports, and the names of what they measure.
const REPORTS: [(&str, &str); 2] = [
    ("pod", "pod_benchmark_data.json"),
    ("container", "container_benchmark_data.json"),
];

/// The median of each operation, in milliseconds, by runtime.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Benchmark {
    date: String,
    /// What was measured by what, such as `critest v1.37.0 on containerd v2.4.2`.
    title: String,
    operations: BTreeMap<String, BTreeMap<String, f64>>,
}

/// critest's report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    operations_names: Vec<String>,
    datapoints: Vec<Datapoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datapoint {
    operations_durations_ns: Vec<i64>,
}

/// Durations in milliseconds, by operation and runtime.
type Samples = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

/// Runs the benchmark and keeps its figures.
pub(crate) fn run(built: bool) -> Result<()> {
    let versions = node::prepare(built, CRITEST, "sigs.k8s.io/cri-tools")?;
    let mut samples = Samples::new();
    for round in 1..=ROUNDS {
        for runtime in Runtime::BOTH {
            println!("==> round {round} of {ROUNDS}, with {}", runtime.name());
            measure(runtime, &mut samples)?;
        }
    }
    let medians = |runtimes: BTreeMap<String, Vec<f64>>| {
        let median = |(runtime, samples)| (runtime, median(samples));
        runtimes.into_iter().map(median).collect()
    };
    let benchmark = Benchmark {
        date: super::results::today(),
        title: format!("critest {} on {}", versions.suite, versions.platform),
        operations: samples
            .into_iter()
            .map(|(operation, runtimes)| (operation, medians(runtimes)))
            .collect(),
    };
    let path = path();
    let text = serde_json::to_string_pretty(&benchmark)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn measure(runtime: Runtime, samples: &mut Samples) -> Result<()> {
    let directory = workspace::target()?
        .join("conformance")
        .join(format!("benchmark-{}", runtime.name()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let parameters = directory.join("parameters.yaml");
    fs::write(&parameters, PARAMETERS)?;
    let mut critest = Command::new(node::program("critest.test")?);
    critest
        .args(["-benchmark", "-ginkgo.skip", "image"])
        .args(["-runtime-handler", runtime.name()])
        .args(["-runtime-endpoint", critest::ENDPOINT])
        .arg("-benchmarking-params-file")
        .arg(&parameters)
        .arg("-benchmarking-output-dir")
        .arg(&directory);
    let node = Node {
        images: vec![critest::IMAGES[0].to_owned()],
        ..Node::default()
    };
    let run = Run {
        attempts: 1,
        runtime,
        directory: &directory,
        only: None,
    };
    let (status, output) = node.run(&run, &critest)?;
    ensure!(
        status.success(),
        "the benchmark failed: see {}",
        output.display()
    );
    for (subject, file) in REPORTS {
        read(subject, &directory.join(file), runtime, samples)?;
    }
    Ok(())
}

fn read(subject: &str, path: &Path, runtime: Runtime, samples: &mut Samples) -> Result<()> {
    let describe = || format!("cannot read {}", path.display());
    let text = fs::read(path).with_context(describe)?;
    let report: Report = serde_json::from_slice(&text).with_context(describe)?;
    for datapoint in report.datapoints {
        let durations = datapoint.operations_durations_ns;
        for (name, duration) in report.operations_names.iter().zip(durations) {
            samples
                .entry(format!("{subject}: {name}"))
                .or_default()
                .entry(runtime.name().to_owned())
                .or_default()
                .push(duration as f64 / 1e6);
        }
    }
    Ok(())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples[samples.len() / 2];
    (middle * 10.0).round() / 10.0
}

fn path() -> PathBuf {
    workspace::root().join("tests/conformance/benchmark.json")
}

/// Returns the section of the page.
pub(crate) fn section() -> Result<String> {
    let path = path();
    let describe = || format!("cannot read {}", path.display());
    let text = fs::read(&path).with_context(describe)?;
    let benchmark: Benchmark = serde_json::from_slice(&text).with_context(describe)?;
    let mut section = format!(
        "\n### critest's benchmark\n\nMedians of {ROUNDS} rounds in turn, {}, {}.\n\n\
         | operation | runc | preopen | beside runc |\n|---|---|---|---|\n",
        benchmark.title, benchmark.date
    );
    for (operation, medians) in &benchmark.operations {
        let of = |runtime: Runtime| medians.get(runtime.name()).copied().unwrap_or(f64::NAN);
        let (runc, preopen) = (of(Runtime::Runc), of(Runtime::Preopen));
        writeln!(
            section,
            "| {operation} | {runc:.1} ms | {preopen:.1} ms | {:.2} x |",
            preopen / runc
        )?;
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_critest_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = r#"{"operationsNames": ["Start", "Stop"], "maxParallel": 1, "datapoints": [
            {"sampleIndex": 0, "operationsDurationsNs": [2000000, 9000000]},
            {"sampleIndex": 1, "operationsDurationsNs": [4000000, 7000000]}]}"#;
        fs::write(&file, text).expect("it can be written");
        let mut samples = Samples::new();
        read("pod", file.path(), Runtime::Runc, &mut samples).expect("it is well formed");
        assert_eq!(samples["pod: Start"]["runc"], [2.0, 4.0]);
        assert_eq!(samples["pod: Stop"]["runc"], [9.0, 7.0]);
        assert_eq!(median(vec![9.0, 7.0, 8.04]), 8.0);
    }
}
