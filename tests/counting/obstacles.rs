//! Obstacles to writing `visits.bin`: a refused visit is not counted, and `/healthz` refuses with the same error.
//!
//! The host runs as an unprivileged user on a real file system. The tests run as root and put obstacles there.

use crate::counter;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_tests::load::{self, visits_bin};
use visits_tests::{App, Ext4, Host, artifacts, get};

/// The user that the host runs as.
const USER: u32 = 65532;

/// An obstacle: the shell lines that put it on the volume and take it away, and a part of the error.
struct Obstacle {
    put: &'static str,
    take_away: &'static str,
    error: &'static str,
}

const fn obstacle(put: &'static str, take_away: &'static str, error: &'static str) -> Obstacle {
    Obstacle {
        put,
        take_away,
        error,
    }
}

/// Obstacles to `visits.bin` in a directory that the user owns, and to the claim.
const OBSTACLES: [Obstacle; 15] = [
    obstacle(
        "chown 0:0 visits.bin && chmod 644 visits.bin",
        "chown 65532 visits.bin",
        "permission denied (does the volume belong",
    ),
    obstacle(
        "chmod 000 visits.bin",
        "chmod 644 visits.bin",
        "permission denied (does the volume belong",
    ),
    obstacle(
        "chmod 444 visits.bin",
        "chmod 644 visits.bin",
        "permission denied (does the volume belong",
    ),
    obstacle(
        "chattr +i visits.bin",
        "chattr -i visits.bin",
        "immutable or append-only",
    ),
    obstacle(
        "chattr +a visits.bin",
        "chattr -a visits.bin",
        "immutable or append-only",
    ),
    obstacle(
        "rm visits.bin && mkdir visits.bin",
        "rmdir visits.bin",
        "it is a directory",
    ),
    obstacle(
        "rm visits.bin && ln -s elsewhere visits.bin",
        "rm visits.bin",
        "it is a symbolic link",
    ),
    obstacle(
        "mv visits.bin real && ln -s real visits.bin",
        "mv real visits.bin",
        "it is a symbolic link",
    ),
    obstacle(
        "rm visits.bin && mkfifo -m 666 visits.bin",
        "rm visits.bin",
        "a FIFO, a socket or a device",
    ),
    obstacle(
        "rm visits.bin && mknod -m 666 visits.bin c 1 3",
        "rm visits.bin",
        "a FIFO, a socket or a device",
    ),
    obstacle(
        "rm visits.bin && chown 0:0 .",
        "chown 65532 .",
        "permission denied (does the volume belong",
    ),
    obstacle(
        "rm visits.bin && chattr +i .",
        "chattr -i .",
        "immutable or append-only",
    ),
    // Obstacles to the claim itself.
    obstacle(
        "chown 0:0 .visits",
        "chown 65532 .visits",
        "permission denied (does the volume belong",
    ),
    obstacle(
        "chattr +i .visits/ticket.*",
        "chattr -i .visits/ticket.*",
        "immutable or append-only",
    ),
    obstacle(
        "chattr +a .visits",
        "chattr -a .visits",
        "immutable or append-only",
    ),
];

/// An application on its own file system. The host's user owns the file system and can read all that the host needs.
struct Stage {
    mount: Ext4,
    host: PathBuf,
    // Last, because the file system is unmounted before its directory is removed.
    app: App,
}

impl Stage {
    fn new() -> Result<Self> {
        let app = counter()?;
        let mount = Ext4::on(&app.volume())?;
        chown(app.volume(), Some(USER), Some(USER))?;
        fs::set_permissions(app.directory(), PermissionsExt::from_mode(0o755))?;
        let wasm = app.directory().join("visits.wasm");
        fs::copy(artifacts::visits_wasm()?, &wasm)?;
        let manifest = fs::read_to_string(app.manifest())?;
        let original = format!("{:?}", artifacts::visits_wasm()?);
        fs::write(
            app.manifest(),
            manifest.replace(&original, "\"visits.wasm\""),
        )?;
        let host = app.directory().join("preopen");
        fs::copy(artifacts::preopen()?, &host)?;
        let cache = app.directory().join("cache");
        fs::create_dir(&cache)?;
        fs::set_permissions(&cache, PermissionsExt::from_mode(0o700))?;
        chown(&cache, Some(USER), Some(USER))?;
        Ok(Stage { mount, host, app })
    }

    async fn start(&self) -> Result<Host> {
        let host = self.host.display();
        let as_user =
            format!("exec setpriv --reuid {USER} --regid {USER} --clear-groups -- '{host}' \"$@\"");
        let cache = format!(
            "--cache-dir={}",
            self.app.directory().join("cache").display()
        );
        Host::of(&self.app)
            .without_shared_cache()
            .arg(cache)
            .shell(&as_user)
            .start()
            .await
    }

    fn shell(&self, line: &str) -> Result<()> {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.app.volume())
            .output()
            .context("cannot run sh")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line}: {errors}");
        Ok(())
    }

    fn volume(&self) -> PathBuf {
        self.app.volume()
    }
}

/// Returns the ticket's number, which is the count.
fn counted(volume: &Path) -> Result<u64> {
    for entry in fs::read_dir(volume.join(".visits"))? {
        let name = entry?.file_name();
        if let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("ticket.")) {
            let number = rest.split('-').next().context("no number")?;
            return Ok(number.parse()?);
        }
    }
    bail!("no ticket")
}

/// Asserts that visits and the probe are refused with this error, and that none of them counts.
async fn refused(host: &Host, volume: &Path, what: &str, error: &str) -> Result<()> {
    let before = counted(volume)?;
    for path in ["/", "/healthz", "/", "/"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{what}: {path}: {}", reply.text());
        assert!(reply.text().contains(error), "{what}: {}", reply.text());
        assert_eq!(reply.text().lines().count(), 1, "{what}: {}", reply.text());
        assert_eq!(counted(volume)?, before, "{what}: {path} counted");
    }
    assert_eq!(get(host.address(), "/livez").await?.status, 200);
    Ok(())
}

async fn counts(host: &Host, volume: &Path, what: &str) -> Result<()> {
    let before = counted(volume)?;
    let health = get(host.address(), "/healthz").await?;
    assert_eq!(health.status, 200, "{what}: {}", health.text());
    assert_eq!(load::visits(host.address(), 1, 1).await?, [before + 1]);
    assert_eq!(visits_bin(volume)?, before + 1, "{what}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn no_obstacle_lets_a_refused_visit_count() -> Result<()> {
    let stage = Stage::new()?;
    let volume = stage.volume();
    let host = stage.start().await?;
    load::visits(host.address(), 1, 114).await?;
    for Obstacle {
        put,
        take_away,
        error,
    } in OBSTACLES
    {
        host.closed(&volume.join("visits.bin")).await?;
        stage.shell(put)?;
        let running = refused(&host, &volume, put, error).await;
        let restarted = stage.start().await?;
        let restarted = refused(&restarted, &volume, put, error).await;
        stage.shell(take_away)?;
        running?;
        restarted?;
        counts(&host, &volume, put).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn a_file_that_can_be_written_and_not_read_is_no_obstacle() -> Result<()> {
    let stage = Stage::new()?;
    let host = stage.start().await?;
    load::visits(host.address(), 1, 3).await?;
    stage.shell("chmod 200 visits.bin")?;
    counts(&host, &stage.volume(), "chmod 200 visits.bin").await
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn a_socket_is_refused_like_a_fifo() -> Result<()> {
    let stage = Stage::new()?;
    let file = stage.volume().join("visits.bin");
    let host = stage.start().await?;
    load::visits(host.address(), 1, 3).await?;
    host.closed(&file).await?;
    fs::remove_file(&file)?;
    drop(UnixListener::bind(&file)?);
    refused(&host, &stage.volume(), "a socket", "a FIFO, a socket").await?;
    fs::remove_file(&file)?;
    counts(&host, &stage.volume(), "a socket").await
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn a_full_volume_without_the_bytes_of_visits_bin_does_not_count() -> Result<()> {
    let stage = Stage::new()?;
    let volume = stage.volume();
    let host = stage.start().await?;
    load::visits(host.address(), 1, 5).await?;
    for put in ["rm visits.bin", ": > visits.bin"] {
        host.closed(&volume.join("visits.bin")).await?;
        stage.shell(put)?;
        stage.mount.fill()?;
        refused(&host, &volume, put, "no space left").await?;
        let restarted = stage.start().await?;
        refused(&restarted, &volume, put, "no space left").await?;
        stage.shell("rm filler")?;
        counts(&host, &volume, put).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn a_hole_on_a_full_volume_counts_one_visit_at_most() -> Result<()> {
    let stage = Stage::new()?;
    let volume = stage.volume();
    let host = stage.start().await?;
    load::visits(host.address(), 1, 5).await?;
    host.closed(&volume.join("visits.bin")).await?;
    // It has the right length and no space on the disk, which opening does not show.
    stage.shell("rm visits.bin && truncate -s 8 visits.bin && chown 65532 visits.bin")?;
    stage.mount.fill()?;
    for _ in 0..3 {
        assert_eq!(get(host.address(), "/").await?.status, 503);
    }
    let count = counted(&volume)?;
    ensure!((5..=6).contains(&count), host.failed(&format!("{count}")));
    refused(&host, &volume, "a hole", "no space left").await?;
    let restarted = stage.start().await?;
    refused(&restarted, &volume, "a hole", "no space left").await?;
    stage.shell("rm filler")?;
    counts(&host, &volume, "a hole").await
}

#[tokio::test]
#[ignore = "needs root: mounts a file system, changes owners"]
async fn a_file_of_somebody_else_is_not_taken_over() -> Result<()> {
    let stage = Stage::new()?;
    let volume = stage.volume();
    fs::write(volume.join("visits.bin"), [114])?;
    let host = stage.start().await?;
    for path in ["/", "/healthz", "/"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}: {}", reply.text());
        assert!(reply.text().contains("permission denied"), "{path}");
    }
    assert_eq!(get(host.address(), "/visits").await?.text(), "114\n");
    ensure!(!volume.join(".visits").exists(), "counting has started");
    assert_eq!(fs::read(volume.join("visits.bin"))?, [114]);
    stage.shell("chown 65532 visits.bin")?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [115]);
    Ok(())
}
