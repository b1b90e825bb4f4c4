//! A counter whose disk fails under load: what visitors are answered, and what is left when the volume is in order again.

use crate::disk::{Cache, Disk, Failure};
use crate::file_system::FileSystem;
use crate::power;
use crate::volume::Volume;
use anyhow::{Context, Result, ensure};
use futures::future::join;
use std::time::Duration;
use tokio::time::timeout;
use visits_tests::history::History;
use visits_tests::{Host, get};

/// The clients of the host.
const CLIENTS: usize = 8;

/// How long it may take until every client is refused. A volume that hangs is noticed after 10 seconds.
const REFUSED: Duration = Duration::from_secs(60);

/// What visitors are told of a disk that fails, depending on which call meets the failure first.
pub(crate) const FAILED: [&str; 2] = ["input/output error", "read-only file system"];

/// Harms a disk of each kind under load, and checks that visitors are refused with the reason, that the component stays
/// alive, and that no acknowledged visit is lost when the volume is in order again.
///
/// # Errors
/// Fails if one of these does not hold.
pub(crate) async fn lose_nothing(
    failure: Failure,
    harm: impl Fn(&mut Disk) -> Result<()>,
) -> Result<()> {
    for file_system in FileSystem::ALL {
        let line = loses_nothing(file_system, failure, &harm).await;
        let line = line.with_context(|| file_system.to_string())?;
        println!("{file_system}: {line}");
    }
    Ok(())
}

async fn loses_nothing(
    file_system: FileSystem,
    failure: Failure,
    harm: impl FnOnce(&mut Disk) -> Result<()>,
) -> Result<String> {
    let mut volume = Volume::new(file_system, Cache::Writeback, failure).await?;
    let host = Host::of(volume.app()).start().await?;
    let history = History::new();
    until_refused(&host, &history, || harm(volume.disk())).await?;
    let line = refusal(&host, &FAILED).await?;
    host.kill9().await?;
    volume.restore().await?;
    power::check(&volume, &history).await?;
    Ok(line)
}

/// Runs clients until each is refused. Does `harm` when some visits are answered.
///
/// # Errors
/// Fails if the harm fails, or if the clients are not refused.
pub(crate) async fn until_refused(
    host: &Host,
    history: &History,
    harm: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let harmed = async {
        history.answers(20).await?;
        harm()
    };
    let clients = history.visit_until_the_end(host.address(), CLIENTS);
    let (harmed, ended) = join(harmed, timeout(REFUSED, clients)).await;
    harmed?;
    ended.map_err(|_| host.failed("visits are still answered"))
}

/// Checks that a visitor and `/healthz` get one line with one of these reasons, and that the component is alive. Returns
/// the visitor's line.
///
/// # Errors
/// Fails if that does not hold.
pub(crate) async fn refusal(host: &Host, reasons: &[&str]) -> Result<String> {
    let mut line = None;
    for path in ["/healthz", "/"] {
        let reply = get(host.address(), path).await?;
        let text = reply.text();
        ensure!(reply.status == 503, "{path}: {}: {text}", reply.status);
        ensure!(text.lines().count() == 1, "{path}: {text}");
        ensure!(
            reasons.iter().any(|reason| text.contains(reason)),
            "{path}: {text}"
        );
        line = Some(text.trim_end().to_owned());
    }
    let alive = get(host.address(), "/livez").await?;
    ensure!(alive.status == 200, "/livez: {}", alive.status);
    line.context("two answers")
}
