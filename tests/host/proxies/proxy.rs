//! The process of a proxy, with its own configuration and directory.

use anyhow::{Context, Result};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;
use visits_tests::{DEADLINE, wait};

/// A running proxy, which is killed on drop.
pub(super) struct Proxy {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Proxy {
    /// Starts `program`, and waits until it listens. `configuration` receives the address to listen on and a directory.
    /// The path of the configuration becomes the last argument.
    pub(super) async fn start(
        program: PathBuf,
        arguments: &[&str],
        configuration: impl FnOnce(SocketAddr, &Path) -> String,
    ) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        // The port was free a moment ago. Another process is unlikely to have taken it since.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let file = directory.path().join("proxy.conf");
        std::fs::write(&file, configuration(address, directory.path()))?;
        let log = std::fs::File::create(directory.path().join("log"))?;
        let child = Command::new(&program)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut proxy = Self {
            child,
            address,
            directory,
        };
        let listens = wait::until("the proxy listens", DEADLINE, async || {
            anyhow::ensure!(proxy.child.try_wait()?.is_none(), "the proxy has ended");
            Ok(TcpStream::connect(address).await.ok())
        });
        let listens = listens.await.map(drop);
        listens.with_context(|| proxy.log())?;
        Ok(proxy)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the output of the proxy.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy ---\n{}\n---", self.log());
        }
    }
}
