//! Histories that porcupine judges: of hosts that nothing disturbs, of a counter that is wrong, and of no counter at all.

use crate::counter;
use anyhow::{Result, ensure};
use futures::future::join_all;
use std::fmt::Write;
use std::net::SocketAddr;
use visits_tests::history::History;
use visits_tests::judge::{Verdict, judge};
use visits_tests::{App, Connection, Host, artifacts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_many_clients_is_linearizable() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let history = History::new();
    history.visits(host.address(), 64, 200).await?;
    history.check_count(64 * 200)?;
    history.check_linearizable().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_two_hosts_on_one_volume_is_linearizable() -> Result<()> {
    let app = counter()?;
    let (one, other) = (Host::of(&app).start().await?, Host::of(&app).start().await?);
    let history = History::new();
    tokio::try_join!(
        history.visits(one.address(), 16, 200),
        history.visits(other.address(), 16, 200)
    )?;
    history.check_count(2 * 16 * 200)?;
    history.check_linearizable().await
}

/// Makes 200 visits, of which some may be refused.
async fn visit(history: &History, address: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let client = history.client();
    for _ in 0..200 {
        let _ = client.visit(&mut connection).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_a_counter_that_reads_adds_and_writes_is_rejected() -> Result<()> {
    let app = App::new(&artifacts::naive_wasm()?)?;
    let (one, other) = (Host::of(&app).start().await?, Host::of(&app).start().await?);
    let history = History::new();
    let clients = [one.address(), other.address()].repeat(4);
    let clients = clients.iter().map(|address| visit(&history, *address));
    for client in join_all(clients).await {
        client?;
    }
    // Many are refused: one host reads the file while the other has emptied it.
    ensure!(history.answered() > 100, "{} answers", history.answered());
    let Verdict::Impossible(reason) = history.verdict().await? else {
        anyhow::bail!("porcupine accepts the history of two naive hosts");
    };
    ensure!(reason.contains("none of these can be next"), "{reason}");
    Ok(())
}

/// Returns a random history of a few visits, with times and numbers in no relation.
fn random(random: &mut fastrand::Rng) -> Result<String> {
    let mut lines = String::new();
    let visits = random.u64(1..=6);
    for client in 0..visits {
        let call = random.u64(0..8);
        let end = call + random.u64(0..6);
        let number = random.u64(1..=visits);
        match random.u32(0..3) {
            0 => writeln!(
                lines,
                r#"{{"client":{client},"call":{call},"return":null,"number":null}}"#
            )?,
            _ => writeln!(
                lines,
                r#"{{"client":{client},"call":{call},"return":{end},"number":{number}}}"#
            )?,
        }
    }
    Ok(lines)
}

#[test]
fn filling_gaps_first_changes_no_verdict_on_what_is_linearizable() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let mut verdicts = [0, 0];
    for seed in 0..1000 {
        let history = random(&mut fastrand::Rng::with_seed(seed))?;
        std::fs::write(file.path(), &history)?;
        let [reduced, plain] = [judge(file.path(), false)?, judge(file.path(), true)?]
            .map(|verdict| verdict == Verdict::Linearizable);
        ensure!(
            reduced == plain,
            "{reduced} with gaps filled, {plain} without:\n{history}"
        );
        verdicts[usize::from(plain)] += 1;
    }
    ensure!(verdicts.iter().all(|of| *of > 100), "{verdicts:?}");
    Ok(())
}

/// Returns visits one after the other, the last two with these numbers.
fn in_sequence(visits: u64, last: [u64; 2]) -> String {
    let numbers = (1..visits - 1).chain(last);
    let line = |(call, number): (usize, u64)| {
        let call = call * 10;
        let end = call + 5;
        format!("{{\"client\":0,\"call\":{call},\"return\":{end},\"number\":{number}}}\n")
    };
    numbers.enumerate().map(line).collect()
}

#[test]
fn a_long_history_is_linearizable_only_if_its_parts_are_in_order_too() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    // One more than the judge's parts have, so that the last visit begins a new part.
    let visits = 4097;
    std::fs::write(file.path(), in_sequence(visits, [visits - 1, visits]))?;
    assert_eq!(judge(file.path(), false)?, Verdict::Linearizable);
    std::fs::write(file.path(), in_sequence(visits, [visits, visits - 1]))?;
    let Verdict::Impossible(reason) = judge(file.path(), false)? else {
        anyhow::bail!("the last two visits are in the wrong order");
    };
    ensure!(reason.contains("number 4097"), "{reason}");
    Ok(())
}

#[test]
fn what_is_no_history_is_neither_linearizable_nor_rejected() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    for (text, error) in [
        ("hello\n", "line 1"),
        (
            r#"{"client":0,"call":2,"return":1,"number":1}"#,
            "it returned before its call",
        ),
        (
            r#"{"client":0,"call":2,"return":null,"number":1}"#,
            "it has a number and did not return",
        ),
        (r#"{"client":0,"return":3,"number":1}"#, "call is missing"),
    ] {
        std::fs::write(file.path(), text)?;
        let reported = judge(file.path(), false).expect_err(text).to_string();
        ensure!(reported.contains(error), "{reported}");
    }
    Ok(())
}
