//! slowhttptest, an attack tool of others: its four attacks at once leave the service up, with the limits that the host has
//! by default.

use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::{Duration, Instant};
use visits_tests::command::Bounded;
use visits_tests::load::{self, assert_exactly, visits_bin};
use visits_tests::{App, Host, artifacts};

/// The attacks by their options.
const ATTACKS: [(&str, &[&str]); 4] = [
    ("slow headers", &["-H", "-i", "2"]),
    ("slow bodies", &["-B", "-i", "2"]),
    ("overlapping ranges", &["-R"]),
    ("slow reading", &["-X", "-n", "2", "-z", "16"]),
];
/// The seconds that each attack lasts.
const SECONDS: u64 = 10;
/// How long a visit may take meanwhile.
const VISIT: Duration = Duration::from_secs(1);

/// Runs one attack with 300 connections and returns its report. It asks for the page every few seconds itself, and gives up
/// after 3 s.
async fn attack(host: &Host, options: &[&str]) -> Result<String> {
    let mut command = Command::new(artifacts::slowhttptest()?);
    command
        .args(options)
        .args(["-c", "300", "-r", "100", "-p", "3", "-t", "GET"])
        .args(["-l", &SECONDS.to_string()])
        .args(["-u", &format!("http://{}/livez", host.address())]);
    let bounded = Bounded::new(command).within(Duration::from_secs(6 * SECONDS));
    let report = bounded.run_beside().await?;
    Ok(String::from_utf8_lossy(&report).into_owned())
}

#[tokio::test]
#[ignore = "needs slowhttptest"]
async fn slowhttptests_attacks_leave_the_service_up() -> Result<()> {
    let app = App::new(&artifacts::visits_wasm()?)?;
    let host = Host::of(&app).start().await?;
    let attacks = async {
        let attacks = ATTACKS.map(|(_, options)| attack(&host, options));
        futures::future::join_all(attacks).await
    };
    let mut attacks = std::pin::pin!(attacks);
    let mut numbers = Vec::new();
    let reports = loop {
        let begun = Instant::now();
        let visit = load::visits(host.address(), 1, 1);
        tokio::select! {
            reports = &mut attacks => break reports,
            answered = visit => numbers.extend(answered?),
        }
        let took = begun.elapsed();
        ensure!(took < VISIT, host.failed(&format!("a visit took {took:?}")));
    };
    for ((name, _), report) in ATTACKS.iter().zip(reports) {
        let report = report.context(*name)?;
        // The answers are coloured, also in a pipe.
        let lines = report.lines();
        let answers: Vec<_> = lines.filter(|line| line.contains("available")).collect();
        ensure!(!answers.is_empty(), "{name}: no report: {report}");
        let down = answers.iter().any(|line| line.contains("NO"));
        ensure!(!down, "{name}: the service was down: {report}");
    }
    // The visit that the end of the attacks interrupted may have counted.
    let count = visits_bin(&app.volume())?;
    let answered = numbers.len() as u64;
    ensure!(
        (answered..=answered + 1).contains(&count),
        "{answered} of {count}"
    );
    assert_exactly(numbers, 1, answered);
    Ok(())
}
