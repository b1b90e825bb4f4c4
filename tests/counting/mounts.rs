//! Volumes that need root to make: a real 1 MiB file system that is full, read-only, or does not answer.

use crate::{counter, load, visits_bin};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use visits_tests::{App, DEADLINE, Host, get};

/// A 1 MiB ext4 file system, as a PersistentVolumeClaim of 1Mi would be, mounted on an application's volume.
struct Mount {
    point: PathBuf,
}

impl Mount {
    fn on(app: &App) -> Result<Self> {
        let image = app.directory().join("volume.img");
        File::create(&image)?.set_len(1 << 20)?;
        run("mkfs.ext4", &["-q", "-m", "0"], &image)?;
        let point = app.volume();
        let mount = format!("{} {}", image.display(), point.display());
        let arguments: Vec<&str> = ["-o", "loop"].into_iter().chain(mount.split(' ')).collect();
        let status = Command::new("mount").args(arguments).status()?;
        ensure!(status.success(), "cannot mount {mount}: {status}");
        Ok(Mount { point })
    }

    fn read_only(&self) -> Result<()> {
        run("mount", &["-o", "remount,ro"], &self.point)
    }

    fn writable(&self) -> Result<()> {
        run("mount", &["-o", "remount,rw"], &self.point)
    }

    /// Makes every write to it wait, as storage that is gone does, until the guard is dropped.
    fn freeze(&self) -> Result<Frozen<'_>> {
        run("fsfreeze", &["--freeze"], &self.point)?;
        Ok(Frozen(&self.point))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.point.join("filler"))?;
        for size in [64 << 10, 1 << 10, 1] {
            let chunk = vec![b'x'; size];
            while filler.write_all(&chunk).is_ok() && filler.sync_all().is_ok() {}
        }
        let another = fs::write(self.point.join("another"), vec![b'x'; 4096]);
        ensure!(another.is_err(), "the volume is not full");
        let _ = fs::remove_file(self.point.join("another"));
        filler
            .write_all(&vec![b'x'; 4096])
            .err()
            .context("the volume is not full")?;
        Ok(())
    }
}

/// A volume that does not answer.
struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run("fsfreeze", &["--unfreeze"], self.0);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A host that still holds it lets go when it is killed.
        let _ = run("umount", &["-l"], &self.point);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .arg(path)
        .output()
        .with_context(|| format!("run {program}: is it installed?"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system"]
async fn a_volume_filled_to_the_last_block_still_counts() -> Result<()> {
    let app = counter()?;
    let mount = Mount::on(&app)?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 1).await?;
    mount.fill()?;
    let numbers = load::visits(host.address(), 8, 250).await?;
    crate::assert_exactly(numbers, 2, 2001);
    assert_eq!(visits_bin(&app.volume())?, 2001);
    assert_eq!(get(host.address(), "/healthz").await?.status, 200);
    host.kill9().await?;
    let host = Host::of(&app).start().await?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [2002]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system"]
async fn a_full_volume_that_has_not_counted_says_so() -> Result<()> {
    let app = counter()?;
    let mount = Mount::on(&app)?;
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
async fn a_read_only_volume_is_told_keeps_its_count_and_counts_on_when_writable() -> Result<()> {
    let app = counter()?;
    let mount = Mount::on(&app)?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 7).await?;
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
async fn a_volume_that_does_not_answer_is_told_while_the_component_stays_alive() -> Result<()> {
    let app = counter()?;
    let mount = Mount::on(&app)?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 3).await?;
    // Left behind, so that a request which does not count has something to write, too.
    fs::write(app.volume().join("visits.bin"), 2u64.to_le_bytes())?;
    let frozen = mount.freeze()?;
    let telling = futures::future::join3(
        get(host.address(), "/visits"),
        get(host.address(), "/"),
        get(host.address(), "/healthz"),
    );
    let mut telling = std::pin::pin!(telling);
    let mut alive = 0;
    let (visits, visit, health) = loop {
        tokio::select! {
            told = &mut telling => break told,
            reply = get(host.address(), "/livez") => {
                assert_eq!(reply?.status, 200);
                alive += 1;
            }
        }
    };
    for reply in [visits?, visit?, health?] {
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(
            reply.text().contains("has not answered"),
            "{}",
            reply.text()
        );
    }
    assert!(alive > 10, "/livez answered {alive} times only");
    let at_once = Instant::now();
    assert_eq!(get(host.address(), "/").await?.status, 503);
    assert!(
        at_once.elapsed() < Duration::from_secs(5),
        "the next visitor waits too"
    );
    drop(frozen);
    // The visit whose claim was under way counts, unacknowledged.
    let deadline = Instant::now() + DEADLINE;
    while get(host.address(), "/healthz").await?.status != 200 {
        ensure!(Instant::now() < deadline, host.failed("not ready again"));
    }
    let number = load::visits(host.address(), 1, 1).await?[0];
    ensure!((4..=5).contains(&number), "{number}");
    assert_eq!(visits_bin(&app.volume())?, number);
    Ok(())
}
