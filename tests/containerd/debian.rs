//! Debian's containerd, which is older (1.6): it imports the image and runs the shim.

use crate::images;
use crate::network::Network;
use crate::node::Node;
use anyhow::{Context, Result, anyhow};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;
use visits_support::programs::path_with;
use visits_tests::command::run_beside;
use visits_tests::wait::until;
use visits_tests::{DEADLINE, artifacts, load};

/// A second containerd with its own directory.
struct Debian {
    containerd: Child,
    programs: PathBuf,
    directory: TempDir,
}

impl Debian {
    async fn start() -> Result<Self> {
        let unpacked = artifacts::debian_binaries()?;
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n",
            path.join("root"),
            path.join("state"),
            path.join("socket")
        );
        std::fs::write(path.join("config.toml"), config)?;
        std::os::unix::fs::symlink(artifacts::shim()?, path.join("containerd-shim-preopen-v1"))?;
        let programs = [
            path.to_owned(),
            unpacked.join("usr/bin"),
            unpacked.join("usr/sbin"),
        ];
        let log = std::fs::File::create(path.join("log"))?;
        let containerd = Command::new(unpacked.join("usr/bin/containerd"))
            .arg("--config")
            .arg(path.join("config.toml"))
            .env("PATH", path_with(&programs)?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start Debian's containerd")?;
        let debian = Self {
            containerd,
            programs: unpacked.join("usr/bin"),
            directory,
        };
        let answers = until("Debian's containerd answers", DEADLINE, async || {
            Ok(debian.ctr(["version"]).await.ok())
        });
        answers.await.map_err(|error| debian.failed(&error))?;
        Ok(debian)
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    async fn ctr<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        let mut command = Command::new(self.programs.join("ctr"));
        command
            .arg("--address")
            .arg(self.directory().join("socket"))
            .args(arguments);
        run_beside(command).await
    }

    fn failed(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = std::fs::read_to_string(self.directory().join("log")).unwrap_or_default();
        anyhow!("{error:#}\n--- the log of Debian's containerd ---\n{log}\n---")
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.containerd.kill();
        let _ = self.containerd.wait();
    }
}

/// Imports the counter's image, counts visits, stops the container and removes it.
async fn counts(debian: &Debian) -> Result<()> {
    let tar = debian.directory().join("visits.tar");
    images::visits()?.write_layout_tar(&tar)?;
    debian
        .ctr([OsStr::new("images"), OsStr::new("import"), tar.as_os_str()])
        .await?;
    let network = tokio::task::spawn_blocking(Network::new).await??;
    let address = SocketAddr::new(network.address(), 5000);
    let joined = format!("--with-ns=network:{}", network.path().display());
    let cgroup = format!("--cgroup={}/debian", Node::cgroup()?);
    let runtime = "--runtime=io.containerd.preopen.v1";
    let run = [
        "run",
        "--detach",
        "--null-io",
        runtime,
        &cgroup,
        &joined,
        images::VISITS,
        "debian",
    ];
    debian.ctr(run).await?;
    until("the container listens", DEADLINE, async || {
        Ok(TcpStream::connect(address).await.ok())
    })
    .await?;
    load::assert_exactly(load::visits(address, 8, 25).await?, 1, 200);
    debian.ctr(["tasks", "metrics", "debian"]).await?;
    debian
        .ctr(["tasks", "kill", "--signal", "SIGTERM", "debian"])
        .await?;
    until("the task is stopped", DEADLINE, async || {
        Ok(debian
            .ctr(["tasks", "ls"])
            .await?
            .contains("STOPPED")
            .then_some(()))
    })
    .await?;
    debian.ctr(["tasks", "rm", "debian"]).await?;
    debian.ctr(["containers", "rm", "debian"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn the_shim_counts_under_debians_containerd() -> Result<()> {
    // The node makes the bridge.
    let _node = Node::shared().await?;
    let debian = Debian::start().await?;
    counts(&debian).await.map_err(|error| debian.failed(&error))
}
