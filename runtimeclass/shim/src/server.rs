//! The server of one pod: its socket, its task service and its end.
//!
//! The library's own `run` serves version 2 of the task API alone, which containerd 1.6 to 2.x use with a shim that prints
//! a bare address. Tools that call a shim themselves use version 3. Both have the same messages and calls under another
//! name, so one service has both names here.

use crate::exits;
use crate::service::Service;
use anyhow::{Context, Result};
use containerd_shim::ExitSignal;
use containerd_shim::protos::shim_async::{Task, create_task};
use containerd_shim::protos::ttrpc::r#async::Server;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

/// The names of the task service.
const V2: &str = "containerd.task.v2.Task";
const V3: &str = "containerd.task.v3.Task";

/// How long a server that has bound the socket may take until it accepts connections.
const LISTENS: Duration = Duration::from_secs(1);
/// The pause between two attempts to connect to it.
const AGAIN: Duration = Duration::from_millis(5);

/// Returns the path of a socket's address.
pub(crate) fn path_of(address: &str) -> &Path {
    Path::new(address.trim_start_matches("unix://"))
}

/// A socket, which is removed with this value.
struct Socket(PathBuf);

/// Serves at this address until `exit`. Returns at once if another server does so already.
pub(crate) async fn run(address: &str, service: Service, exit: Arc<ExitSignal>) -> Result<()> {
    let reaper = exits::reap()?;
    // Only containerd ends a server. A signal to its whole process group, such as Ctrl-C in the terminal of ctr, does not.
    for ignored in [SignalKind::interrupt(), SignalKind::terminate()] {
        let _ = signal(ignored).context("cannot ignore signals")?;
    }
    let path = path_of(address);
    let bound = bind(path)
        .await
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    let Some(listener) = bound else {
        return Ok(());
    };
    let socket = Socket(path.to_owned());
    let listener = listener.try_into().context("cannot serve the socket")?;
    let service: Arc<dyn Task + Send + Sync> = Arc::new(service);
    let mut server = Server::new().add_listener(listener);
    for name in [V2, V3] {
        let calls = create_task(service.clone()).into_values();
        server = server.register_service(calls.map(|calls| (name.to_owned(), calls)).collect());
    }
    server.start().await.context("cannot serve the task API")?;
    tokio::spawn(reaper);
    started()?;
    exit.wait().await;
    drop(socket);
    server.shutdown().await.context("cannot end the task API")
}

/// Binds the socket. Returns `None` if another server listens on it. The socket of a server that died is replaced.
async fn bind(path: &Path) -> std::io::Result<Option<UnixListener>> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        bound => return bound.map(Some),
    }
    let listens = async {
        while UnixStream::connect(path).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    };
    if tokio::time::timeout(LISTENS, listens).await.is_ok() {
        return Ok(None);
    }
    std::fs::remove_file(path)?;
    UnixListener::bind(path).map(Some)
}

/// Closes standard output, for whose end the process waits that has started this server.
fn started() -> Result<()> {
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).context("cannot close standard output")
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            let error = error.to_string();
            let socket = self.0.display();
            log::warn!("socket not removed socket={socket} error={error:?}");
        }
    }
}
