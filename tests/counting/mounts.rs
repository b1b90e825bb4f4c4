//! A real 1 MiB file system that is full, read-only or frozen. Making it needs root.

use crate::counter;
use anyhow::{Result, ensure};
use std::fs;
use std::time::{Duration, Instant};
use visits_tests::load::{self, assert_exactly, visits_bin};
use visits_tests::{DEADLINE, Ext4, Host, get};

#[tokio::test]
#[ignore = "needs root: mounts a file system"]
async fn a_volume_filled_to_the_last_block_still_counts() -> Result<()> {
    let app = counter()?;
    let mount = Ext4::on(&app.volume())?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 1).await?;
    mount.fill()?;
    let numbers = load::visits(host.address(), 8, 250).await?;
    assert_exactly(numbers, 2, 2001);
    assert_eq!(visits_bin(&app.volume())?, 2001);
    assert_eq!(get(host.address(), "/healthz").await?.status, 200);
    host.kill9().await?;
    let host = Host::of(&app).start().await?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [2002]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system"]
async fn a_full_volume_that_has_not_counted_refuses_with_the_cause() -> Result<()> {
    let app = counter()?;
    let mount = Ext4::on(&app.volume())?;
    mount.fill()?;
    let host = Host::of(&app).start().await?;
    for path in ["/", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}");
        assert!(
            reply.text().contains("no space left"),
            "{path}: {}",
            reply.text()
        );
    }
    fs::remove_file(app.volume().join("filler"))?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [1]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system"]
async fn a_read_only_volume_is_reported_keeps_its_count_and_counts_on_when_writable() -> Result<()>
{
    let app = counter()?;
    let mount = Ext4::on(&app.volume())?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 7).await?;
    host.closed(&app.volume().join("visits.bin")).await?;
    mount.read_only()?;
    for path in ["/", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}");
        assert!(
            reply.text().contains("read-only"),
            "{path}: {}",
            reply.text()
        );
        assert_eq!(reply.text().lines().count(), 1, "{path}: {}", reply.text());
    }
    assert_eq!(get(host.address(), "/visits").await?.text(), "7\n");
    assert_eq!(get(host.address(), "/livez").await?.status, 200);
    let restarted = Host::of(&app).start().await?;
    assert_eq!(get(restarted.address(), "/visits").await?.text(), "7\n");
    mount.writable()?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [8]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_frozen_volume_is_reported_while_the_component_stays_alive() -> Result<()> {
    let app = counter()?;
    let mount = Ext4::on(&app.volume())?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 3).await?;
    // Stale, so that a request that does not count also has something to write.
    fs::write(app.volume().join("visits.bin"), 2u64.to_le_bytes())?;
    let frozen = mount.freeze()?;
    let requests = futures::future::join3(
        get(host.address(), "/visits"),
        get(host.address(), "/"),
        get(host.address(), "/healthz"),
    );
    let mut requests = std::pin::pin!(requests);
    let mut alive = 0;
    let (visits, visit, health) = loop {
        tokio::select! {
            replies = &mut requests => break replies,
            reply = get(host.address(), "/livez") => {
                assert_eq!(reply?.status, 200);
                alive += 1;
            }
        }
    };
    for (reply, reads) in [(visits?, true), (visit?, false), (health?, false)] {
        // If the visit came first, it is the one that writes, and the count can be read.
        if reads && reply.text() == "3\n" {
            continue;
        }
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(
            reply.text().contains("has not answered"),
            "{}",
            reply.text()
        );
    }
    assert!(alive > 10, "/livez responded only {alive} times");
    let at_once = Instant::now();
    assert_eq!(get(host.address(), "/").await?.status, 503);
    assert!(
        at_once.elapsed() < Duration::from_secs(5),
        "the next visitor waits, too"
    );
    drop(frozen);
    // The visit whose claim was under way may count. It is not acknowledged.
    let deadline = Instant::now() + DEADLINE;
    while get(host.address(), "/healthz").await?.status != 200 {
        ensure!(Instant::now() < deadline, host.failed("not ready again"));
    }
    let number = load::visits(host.address(), 1, 1).await?[0];
    ensure!((4..=5).contains(&number), "{number}");
    assert_eq!(visits_bin(&app.volume())?, number);
    Ok(())
}
