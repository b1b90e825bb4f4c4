//! Output that nobody reads, such as a container's while containerd is down, or that cannot be written. A pipe holds 64 KiB.

use crate::common::probe;
use crate::misdeeds::{NEXT, served};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::{App, DEADLINE, Host, Signal, artifacts, get};

/// How many lines of 1 KiB neither the pipe nor the host holds.
const LINES: usize = 1000;

fn pause(host: &Host) {
    host.stdout().pause();
    host.stderr().pause();
}

/// Returns the numbers of the lines of stdout.
fn numbers(host: &Host) -> Vec<usize> {
    let lines = host.stdout().lines();
    lines.iter().flat_map(|line| line.trim().parse()).collect()
}

#[tokio::test]
async fn a_component_that_prints_for_ever_stops_only_its_own_instance() -> Result<()> {
    let (_app, host) = probe(&["--request-timeout=500ms"]).await?;
    pause(&host);
    for _ in 0..2 {
        let flood = get(host.address(), "/flood").await?;
        ensure!(flood.status == 504, host.failed(&format!("{flood:?}")));
        let answered = Instant::now();
        served(&host)
            .await
            .map_err(|error| host.failed(&format!("{error:#}")))?;
        let took = answered.elapsed();
        ensure!(took < NEXT, host.failed(&format!("served after {took:?}")));
    }
    host.signal(Signal::TERM)?;
    let exit = host.wait_exit(DEADLINE).await?;
    ensure!(
        exit.code == Some(0),
        host.failed("it did not end by itself")
    );
    Ok(())
}

#[tokio::test]
async fn what_a_component_prints_waits_until_it_is_read() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    host.stdout().pause();
    let path = format!("/print-lines?n={LINES}");
    let printed = get(host.address(), &path);
    let read = async {
        // The first line was read, so the component prints. It cannot have printed all.
        let first = host.stdout().find(DEADLINE, |_| Some(())).await;
        ensure!(first.is_some(), host.failed("nothing is printed"));
        ensure!(numbers(&host).len() < LINES, host.failed("all is read"));
        host.stdout().resume();
        Ok(())
    };
    let (printed, read) = tokio::join!(printed, read);
    read?;
    ensure!(printed?.status == 200, host.failed("not printed"));
    every_line(&host).await
}

#[tokio::test]
async fn an_instance_answers_others_while_its_stream_to_stdout_waits() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    host.stdout().pause();
    let path = format!("/stream-lines?n={LINES}");
    let mut printed = std::pin::pin!(get(host.address(), &path));
    let others = async {
        let first = host.stdout().find(DEADLINE, |_| Some(())).await;
        ensure!(first.is_some(), host.failed("nothing is printed"));
        for _ in 0..10 {
            let hello = get(host.address(), "/hello").await?;
            ensure!(hello.status == 200, host.failed(&format!("{hello:?}")));
        }
        Ok(())
    };
    tokio::select! {
        early = &mut printed => return Err(host.failed(&format!("too early: {early:?}"))),
        answered = others => answered?,
    }
    host.stdout().resume();
    let printed = printed.await?;
    ensure!(
        printed.text() == "Ok(())\n",
        host.failed(&format!("{printed:?}"))
    );
    every_line(&host).await
}

/// Ends the host, and checks that each line has arrived once and in order.
async fn every_line(host: &Host) -> Result<()> {
    host.signal(Signal::TERM)?;
    host.wait_exit(DEADLINE).await?;
    let numbers = numbers(host);
    ensure!(
        numbers.iter().copied().eq(0..LINES),
        "the lines that arrived: {numbers:?}"
    );
    Ok(())
}

/// It waits a second at most for output that is not read. Another program may delay one of its ends.
#[tokio::test]
async fn a_host_whose_output_is_read_ends_at_once() -> Result<()> {
    let mut fastest = DEADLINE;
    for _ in 0..3 {
        let (_app, host) = probe(&[]).await?;
        let signalled = Instant::now();
        host.signal(Signal::TERM)?;
        host.wait_exit(DEADLINE).await?;
        fastest = fastest.min(signalled.elapsed());
    }
    ensure!(fastest < Duration::from_secs(1), "{fastest:?}");
    Ok(())
}

#[tokio::test]
async fn lines_of_the_log_that_nobody_reads_are_dropped_and_counted() -> Result<()> {
    const REQUESTS: u64 = 300;
    let (_app, host) = probe(&["--access-log"]).await?;
    host.stderr().pause();
    // 2 MiB and more of log, of which the host keeps 1 MiB.
    let path = format!("/{}", "x".repeat(7 << 10));
    for _ in 0..REQUESTS {
        let reply = get(host.address(), &path).await?;
        ensure!(reply.status == 404, host.failed(&format!("{reply:?}")));
    }
    host.stderr().resume();
    let log = host.wait_log("lines of the log were dropped").await?;
    host.signal(Signal::TERM)?;
    host.wait_exit(DEADLINE).await?;
    let lines = host.stderr().lines();
    let kept = lines.iter().filter(|line| line.contains(&path)).count();
    let dropped = log["fields"]["lines"].as_u64();
    ensure!(
        dropped.map(|dropped| dropped + kept as u64) == Some(REQUESTS),
        "{kept} lines arrived; {log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_component_learns_that_its_output_is_lost() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).shell("exec >/dev/full").start().await?;
    // The standard library panics if it cannot print.
    let printed = get(host.address(), "/print-lines?n=1000").await?;
    ensure!(printed.status == 500, host.failed(&format!("{printed:?}")));
    let hello = get(host.address(), "/hello").await?;
    ensure!(hello.status == 200, host.failed(&format!("{hello:?}")));
    Ok(())
}
