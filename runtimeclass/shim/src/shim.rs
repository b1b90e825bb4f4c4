//! The calls by which containerd runs the binary: start a server for a container's pod, be that server, and clean up after
//! one that died.
//!
//! `start` and `delete` are short-lived processes of their own. A server serves all containers of one pod. containerd
//! names the pod in an annotation; a container without the annotation has a server to itself.

use crate::events::Events;
use crate::process::{Exit, SIGKILL_EXIT_CODE};
use crate::request::Location;
use crate::server::path_of;
use crate::service::Service;
use crate::{RUNTIME, container, features, helper, server};
use anyhow::{Context, Result, bail, ensure};
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::types::introspection::{RuntimeInfo, RuntimeRequest, RuntimeVersion};
use containerd_shim::publisher::RemotePublisher;
use containerd_shim::{ExitSignal, Flags, cgroup, logger, socket_address};
use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

/// The annotation of a container that names its pod's sandbox.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// The variable in which containerd passes the address for events.
const EVENTS: &str = "TTRPC_ADDRESS";

/// Runs the binary with the arguments that containerd passes.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    // Only root may use a server's sockets and files, whatever containerd's umask is.
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
            &"-namespace is missing: this is a containerd shim, which containerd runs with -namespace, -id and -address",
        );
    }
    let done = match flags.action.as_str() {
        "start" => start(&flags).and_then(|response| respond(&response)),
        "delete" => delete(&flags).and_then(|response| respond(&response)),
        _ => serve(&flags).inspect_err(|error| {
            log::error!("{error:#}");
            // The process that has started this server reads the output.
            let _ = respond(format!("{error:#}").as_bytes());
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error:#}")),
    }
}

fn respond(response: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(response).and_then(|()| stdout.flush());
    written.context("cannot write to standard output")
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Writes the description of this runtime for containerd 2, which sends the runtime's options on standard input.
fn info() -> ExitCode {
    let mut request = Vec::new();
    let mut stdin = std::io::stdin();
    let read = match stdin.is_terminal() {
        true => Ok(0),
        false => stdin.read_to_end(&mut request),
    };
    let written = read
        .context("cannot read the request for a description")
        .and_then(|_| describe(&request))
        .and_then(|description| respond(&description));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn describe(request: &[u8]) -> Result<Vec<u8>> {
    let request = RuntimeRequest::parse_from_bytes(request)
        .context("cannot read the request for a description")?;
    let has_options = !request.options.type_url.is_empty();
    let info = RuntimeInfo {
        name: RUNTIME.into(),
        version: Some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        })
        .into(),
        features: Some(features::any(has_options)).into(),
        ..Default::default()
    };
    info.write_to_bytes()
        .context("cannot encode the runtime's description")
}

/// Starts the server of the container's pod if none runs, and returns its address.
fn start(flags: &Flags) -> Result<Vec<u8>> {
    let bundle = bundle(flags)?;
    let group = group(&bundle, &flags.id)?;
    let address = socket_address(&flags.address, &flags.namespace, &group);
    if !listens(&address) {
        start_server(flags, &address)?;
    }
    let file = bundle.join("address");
    std::fs::write(&file, &address).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(address.into_bytes())
}

/// Removes what a server that died has left of the container, its processes first. Returns the response for containerd.
fn delete(flags: &Flags) -> Result<Vec<u8>> {
    let bundle = bundle(flags)?;
    let location = Location::new(&flags.namespace, &flags.id, &bundle);
    let pid = container::first_process(&location);
    container::delete(&location)?;
    remove_dead_socket(&bundle);
    let exit = Exit::now(SIGKILL_EXIT_CODE);
    let response = DeleteResponse {
        pid: pid.unwrap_or_default() as u32,
        exit_status: exit.code,
        exited_at: Some(exit.at).into(),
        ..Default::default()
    };
    let response = response.write_to_bytes();
    response.context("cannot encode the exit of the container")
}

/// Is the server of a pod, until containerd ends it.
fn serve(flags: &Flags) -> Result<()> {
    if flags.socket.is_empty() {
        bail!("-socket is missing: containerd starts this program with `start`");
    }
    logger::init(flags.debug, "info", &flags.namespace, &flags.id)
        .context("cannot write to containerd's log")?;
    let events = std::env::var(EVENTS).context(EVENTS)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let publisher = RemotePublisher::new(&events).await;
        let publisher = publisher.with_context(|| format!("cannot connect to {events}"))?;
        let exit = Arc::new(ExitSignal::default());
        let events = Events::new(&flags.namespace, publisher);
        let service = Service::new(&flags.namespace, events, exit.clone());
        server::run(&flags.socket, service, exit).await
    })
}

/// Returns the bundle's directory. containerd runs the shim in it, and passes it if it may differ.
fn bundle(flags: &Flags) -> Result<PathBuf> {
    match flags.bundle.as_str() {
        "" => std::env::current_dir().context("cannot find the directory of the bundle"),
        bundle => Ok(bundle.into()),
    }
}

/// Removes the socket of a server that no longer listens.
fn remove_dead_socket(bundle: &Path) {
    let Ok(address) = std::fs::read_to_string(bundle.join("address")) else {
        return;
    };
    if !listens(&address) {
        let _ = std::fs::remove_file(path_of(&address));
    }
}

/// Returns the name of the container's pod, or the container's id if it has none.
fn group(bundle: &Path, id: &str) -> Result<String> {
    let path = bundle.join("config.json");
    let describe = || format!("cannot read {}", path.display());
    let text = std::fs::read(&path).with_context(describe)?;
    let spec: serde_json::Value = serde_json::from_slice(&text).with_context(describe)?;
    let sandbox = spec["annotations"][SANDBOX].as_str();
    Ok(sandbox.unwrap_or(id).to_owned())
}

/// Returns whether a server listens on the address.
fn listens(address: &str) -> bool {
    UnixStream::connect(path_of(address)).is_ok()
}

/// Starts the server and waits until it listens, when it closes its standard output. It writes there only why it cannot.
fn start_server(flags: &Flags, address: &str) -> Result<()> {
    let mut command =
        Command::new(std::env::current_exe().context("cannot find the path of this program")?);
    command
        .args(["-namespace", &flags.namespace, "-id", &flags.id])
        .args(["-address", &flags.address, "-socket", address])
        .args(flags.debug.then_some("-debug"))
        .envs(helper::SMALL_PROCESS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = command.spawn().context("cannot start the shim's server")?;
    // If the node runs out of memory, the kernel then kills shims before containerd.
    if let Err(error) = cgroup::adjust_oom_score(server.id()) {
        let error = error.to_string();
        eprintln!("server's OOM score not adjusted error={error:?}");
    }
    let mut stdout = server
        .stdout
        .take()
        .context("the shim's server has no standard output")?;
    let mut output = String::new();
    stdout
        .read_to_string(&mut output)
        .context("cannot wait for the shim's server")?;
    let ended = server
        .try_wait()
        .context("cannot wait for the shim's server")?;
    ensure!(
        output.is_empty() && ended.is_none_or(|status| status.success()),
        "cannot start the shim's server: {}",
        output.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim::protos::protobuf::well_known_types::any::Any;

    #[test]
    fn user_namespaces_are_reported_only_for_a_runtime_without_options() {
        let reported = |request: RuntimeRequest| {
            let request = request.write_to_bytes().expect("it can be encoded");
            let info = describe(&request).expect("the request is well formed");
            String::from_utf8_lossy(&info).contains(r#""idmap":{"enabled":true}"#)
        };
        assert!(reported(RuntimeRequest::default()));
        let options = Any {
            type_url: "runtimeoptions.v1.Options".into(),
            ..Any::default()
        };
        assert!(!reported(RuntimeRequest {
            options: Some(options).into(),
            ..RuntimeRequest::default()
        }));
        describe(b"torn").expect_err("not a request");
    }
}
