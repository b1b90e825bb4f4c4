//! File descriptors: connections never take those that the component's files need, and a host without free descriptors
//! accepts again later.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::time::Duration;
use visits_tests::{App, Connection, Host, Raw, artifacts};

async fn assert_writes(connection: &mut Connection, host: &Host, name: &str) -> Result<()> {
    let reply = connection.get(&format!("/write?name={name}")).await?;
    ensure!(
        reply.text() == "written\n",
        host.failed(&format!("{name}: {}", reply.text()))
    );
    Ok(())
}

#[tokio::test]
async fn idle_connections_leave_the_component_its_files() -> Result<()> {
    const CONNECTIONS: usize = 400;
    let app = App::new(&artifacts::probe_wasm()?)?;
    // Too low for the connections alone, so the host must raise it.
    let host = Host::of(&app)
        .shell("ulimit -Sn 256")
        .arg(format!("--max-connections={CONNECTIONS}"))
        .arg("--header-timeout=5m")
        .start()
        .await?;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(host.address()).await?;
        ensure!(connection.get("/hello").await?.status == 200);
        idle.push(connection);
    }
    ensure!(
        open_files(&host)? > CONNECTIONS,
        host.failed("not every connection is still open")
    );
    for (number, connection) in idle.iter_mut().take(50).enumerate() {
        assert_writes(connection, &host, &format!("file-{number}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_host_without_free_descriptors_accepts_again_when_it_has_some() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app).arg("--header-timeout=1m").start().await?;
    let mut before = Connection::open(host.address()).await?;
    ensure!(before.get("/hello").await?.status == 200);

    let limit = getrlimit(Resource::Nofile);
    // Open files stay open. The host can open no others.
    limit_open_files(&host, Some(0), limit)?;
    let mut waiting = Raw::open(host.address()).await?;
    waiting
        .write("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    host.wait_log("cannot accept connections").await?;
    let busy = processor_time(&host)?;
    let waited = tokio::time::timeout(Duration::from_secs(1), waiting.read_until("hello")).await;
    ensure!(
        waited.is_err(),
        host.failed("the host has accepted the connection")
    );
    let busy = processor_time(&host)?.saturating_sub(busy);
    ensure!(
        busy < Duration::from_millis(300),
        host.failed(&format!(
            "the host retries without a pause: {busy:?} of processor time in a second"
        ))
    );
    ensure!(before.get("/hello").await?.status == 200);

    limit_open_files(&host, limit.current, limit)?;
    waiting.read_until("hello").await?;
    let warnings = host.stderr().lines();
    let warnings = warnings
        .iter()
        .filter(|line| line.contains("cannot accept connections"))
        .count();
    ensure!(
        warnings == 1,
        host.failed("the host must warn once for all attempts")
    );
    Ok(())
}

fn limit_open_files(host: &Host, current: Option<u64>, like: Rlimit) -> Result<()> {
    let limit = Rlimit { current, ..like };
    prlimit(Pid::from_raw(host.pid()), Resource::Nofile, limit)
        .context("cannot change the host's limit")?;
    Ok(())
}

fn open_files(host: &Host) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", host.pid()))?.count())
}

/// Returns the processor time that the host has used.
fn processor_time(host: &Host) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.pid()))?;
    // The command's name is in parentheses and may contain spaces. utime and stime are the 12th and 13th field after
    // it.
    let (_, fields) = stat.rsplit_once(')').context("no command in stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    // The unit is 10 ms on every architecture of Linux.
    Ok(Duration::from_millis(ticks * 10))
}
