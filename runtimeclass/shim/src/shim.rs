//! What containerd asks of the binary itself: to start a server for a container's pod, to be one, and to clean up after
//! one that died.
//!
//! `start` and `delete` are short-lived processes of their own. A server serves all containers of one pod, which
//! containerd names in an annotation; a container without one is alone.

use crate::events::Events;
use crate::request::Place;
use crate::service::Service;
use crate::{RUNTIME, container, features, helper, process};
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use containerd_shim::publisher::RemotePublisher;
use containerd_shim::{Config, Error, ExitSignal, Flags, StartOpts, cgroup, socket_address};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

/// The annotation of a container that names its pod's sandbox.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// What a killed container is reported to have ended with: 128 and SIGKILL.
const KILLED: u32 = 137;

/// Runs the binary as containerd calls it.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    // Sockets and files of a server are for root alone, whatever containerd's umask is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let flags = match containerd_shim::parse(arguments) {
        Ok(flags) => flags,
        Err(error) => return failed(&error),
    };
    if flags.version {
        println!("containerd-shim-preopen-v1 {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if flags.info {
        return info();
    }
    if flags.namespace.is_empty() {
        return failed(
            &"this is a containerd shim: containerd runs it, with -namespace, -id and -address",
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        // Reports its errors and exits by itself.
        Ok(runtime) => runtime.block_on(containerd_shim::run::<Shim>(RUNTIME, None)),
        Err(error) => return failed(&error),
    }
    ExitCode::SUCCESS
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Describes this runtime to containerd 2. The runtime's options, which containerd sends on standard input, do not
/// matter.
fn info() -> ExitCode {
    let info = RuntimeInfo {
        name: RUNTIME.into(),
        version: Some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        })
        .into(),
        features: Some(features::any()).into(),
        ..Default::default()
    };
    let written = info
        .write_to_bytes()
        .context("encode the runtime's description")
        .and_then(|bytes| Ok(std::io::stdout().write_all(&bytes)?));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// The shim of one container, in each of the three.
pub(crate) struct Shim {
    namespace: String,
    id: String,
    bundle: PathBuf,
    /// The address that a server listens on.
    socket: String,
    exit: Arc<ExitSignal>,
}

#[async_trait]
impl containerd_shim::Shim for Shim {
    type T = Service;

    async fn new(_runtime: &str, flags: &Flags, _config: &mut Config) -> Self {
        // containerd runs the shim in the bundle's directory, and names it too where that may differ.
        let bundle = match flags.bundle.as_str() {
            "" => std::env::current_dir().unwrap_or_default(),
            bundle => bundle.into(),
        };
        Self {
            namespace: flags.namespace.clone(),
            id: flags.id.clone(),
            bundle,
            socket: flags.socket.clone(),
            exit: Arc::new(ExitSignal::default()),
        }
    }

    async fn start_shim(&mut self, options: StartOpts) -> containerd_shim::Result<String> {
        let group = group(&self.bundle, &self.id).map_err(other)?;
        let address = socket_address(&options.address, &options.namespace, &group);
        if !answers(&address) {
            start_server(&options, &address).map_err(other)?;
        }
        let file = self.bundle.join("address");
        std::fs::write(&file, &address)
            .with_context(|| format!("{}: write the address", file.display()))
            .map_err(other)?;
        Ok(address)
    }

    /// After a server that died: whatever is left of the container goes, its processes first.
    async fn delete_shim(&mut self) -> containerd_shim::Result<DeleteResponse> {
        container::delete(&Place::new(&self.namespace, &self.id, &self.bundle)).map_err(other)?;
        self.remove_dead_socket();
        Ok(DeleteResponse {
            exit_status: KILLED,
            exited_at: Some(process::now()).into(),
            ..Default::default()
        })
    }

    /// Waits for the end of the server, whose socket goes first. (What calls this looks for the address in the bundle,
    /// which containerd may have removed by then.)
    async fn wait(&mut self) {
        self.exit.wait().await;
        if let Err(error) = std::fs::remove_file(path_of(&self.socket)) {
            log::warn!("{}: remove the socket: {error}", self.socket);
        }
    }

    async fn create_task_service(&self, publisher: RemotePublisher) -> Service {
        let events = Events::new(&self.namespace, publisher);
        Service::new(&self.namespace, events, self.exit.clone())
    }
}

impl Shim {
    /// Removes the socket of a server that no longer answers.
    fn remove_dead_socket(&self) {
        let Ok(address) = std::fs::read_to_string(self.bundle.join("address")) else {
            return;
        };
        if !answers(&address) {
            let _ = std::fs::remove_file(path_of(&address));
        }
    }
}

fn other(error: anyhow::Error) -> Error {
    Error::Other(format!("{error:#}"))
}

/// The pod that a container is of.
fn group(bundle: &Path, id: &str) -> Result<String> {
    let path = bundle.join("config.json");
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let spec: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let sandbox = spec["annotations"][SANDBOX].as_str();
    Ok(sandbox.unwrap_or(id).to_owned())
}

/// Whether the pod has a server already.
fn answers(address: &str) -> bool {
    UnixStream::connect(path_of(address)).is_ok()
}

fn path_of(address: &str) -> &Path {
    Path::new(address.trim_start_matches("unix://"))
}

/// Starts the server and waits until it listens: it then closes its standard output.
fn start_server(options: &StartOpts, address: &str) -> Result<()> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
    command
        .args(["-namespace", &options.namespace, "-id", &options.id])
        .args(["-address", &options.address, "-socket", address])
        .args(options.debug.then_some("-debug"))
        .env(helper::SMALL_PAGES.0, helper::SMALL_PAGES.1)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = command.spawn().context("start the shim's server")?;
    // So that the kernel, when memory runs out on the node, ends shims before it ends containerd.
    if let Err(error) = cgroup::adjust_oom_score(server.id()) {
        eprintln!("the server's OOM score stays as it is: {error}");
    }
    let mut stdout = server
        .stdout
        .take()
        .context("the server's standard output")?;
    let mut said = String::new();
    stdout
        .read_to_string(&mut said)
        .context("wait for the shim's server")?;
    let ended = server.try_wait().context("look at the shim's server")?;
    ensure!(
        ended.is_none_or(|status| status.success()),
        "the shim's server does not start: see containerd's log {said}"
    );
    Ok(())
}
