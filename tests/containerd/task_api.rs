//! A shim's task API, called without containerd: for calls that `ctr` cannot make, such as an exec that is never started.

use crate::ctr;
use anyhow::{Context, Result, anyhow, ensure};
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, DeleteRequest,
    DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest,
    PidsResponse, ResizePtyRequest, ResumeRequest, StartRequest, StartResponse, StateRequest,
    StateResponse, StatsRequest, StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageFull};
use containerd_shim_protos::shim_async::Client;
use containerd_shim_protos::ttrpc::{self, Code, Request};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use visits_tests::DEADLINE;

/// The response to a call, or the code and the message of its error.
pub(crate) type CallResult<T> = std::result::Result<T, (Code, String)>;

/// Makes an error of a call an error of the test.
pub(crate) fn succeeded<T>(result: CallResult<T>) -> Result<T> {
    result.map_err(|(code, message)| anyhow!("{code:?}: {message}"))
}

/// The named pipes of an exec, as containerd makes them.
pub(crate) struct Fifos(TempDir);

impl Fifos {
    /// Makes the pipes.
    pub(crate) fn new() -> Result<Self> {
        let fifos = Self(tempfile::tempdir()?);
        for path in [fifos.stdin(), fifos.stdout()] {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        Ok(fifos)
    }

    /// Returns the pipe that the process reads.
    pub(crate) fn stdin(&self) -> String {
        self.0.path().join("stdin").display().to_string()
    }

    /// Returns the pipe that the process writes to.
    pub(crate) fn stdout(&self) -> String {
        self.0.path().join("stdout").display().to_string()
    }

    /// Opens the other ends without waiting for the process to open its own.
    pub(crate) fn open(&self) -> Result<(File, File)> {
        let mut both = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        both.read(true).write(true).custom_flags(flags);
        Ok((both.open(self.stdin())?, both.open(self.stdout())?))
    }

    /// Opens the pipe that the process writes to, for reading alone: it ends with its last writer.
    pub(crate) fn read_stdout(&self) -> Result<File> {
        let mut read = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        read.read(true).custom_flags(flags);
        Ok(read.open(self.stdout())?)
    }
}

/// Makes a request about the container of a [`Shim`].
macro_rules! request {
    ($shim:expr, $Request:ident { $($field:ident: $value:expr),* }) => {
        $Request {
            id: $shim.container.clone(),
            $($field: $value,)*
            ..Default::default()
        }
    };
}

/// A connection to the shim of one container.
pub(crate) struct Shim {
    client: Client,
    service: String,
    container: String,
    process: Value,
}

impl Shim {
    /// Connects to the shim of a container that `ctr` has made.
    pub(crate) async fn of(container: &str) -> Result<Self> {
        let bundle = PathBuf::from("/run/containerd/io.containerd.runtime.v2.task")
            .join(ctr::NAMESPACE)
            .join(container);
        let read = |name: &str| -> Result<Value> {
            let path = bundle.join(name);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} is no JSON: {text}", path.display()))
        };
        let bootstrap = read("bootstrap.json")?;
        ensure!(bootstrap["protocol"] == "ttrpc", "{bootstrap}");
        let address = bootstrap["address"]
            .as_str()
            .context("bootstrap.json has no address")?;
        let client = Client::connect(address).await;
        Ok(Self {
            client: client.with_context(|| format!("cannot connect to {address}"))?,
            service: service(&bootstrap["version"]),
            container: container.to_owned(),
            process: read("config.json")?["process"].take(),
        })
    }

    /// Calls another version of the task API from now on.
    pub(crate) fn by_version(mut self, version: u8) -> Self {
        self.service = service(version);
        self
    }

    /// Adds an exec without streams. It runs these words with the settings of the container's first process.
    pub(crate) async fn exec(&self, id: &str, words: &[&str]) -> CallResult<Empty> {
        self.exec_with(id, words, String::new(), String::new())
            .await
    }

    /// Adds an exec with a stdin and a stdout.
    pub(crate) async fn exec_with(
        &self,
        id: &str,
        words: &[&str],
        stdin: String,
        stdout: String,
    ) -> CallResult<Empty> {
        let mut process = self.process.clone();
        process["args"] = json!(words);
        process["terminal"] = false.into();
        let spec = any("Process", &process.to_string());
        let request = request!(
            self,
            ExecProcessRequest {
                exec_id: id.into(),
                stdin: stdin,
                stdout: stdout,
                spec: Some(spec).into()
            }
        );
        self.call("Exec", request).await
    }

    /// Starts an exec.
    pub(crate) async fn start(&self, exec: &str) -> CallResult<StartResponse> {
        let request = request!(
            self,
            StartRequest {
                exec_id: exec.into()
            }
        );
        self.call("Start", request).await
    }

    /// Runs these words in an exec without streams, deletes it and returns its exit code.
    pub(crate) async fn run(&self, id: &str, words: &[&str]) -> Result<u32> {
        succeeded(self.exec(id, words).await)?;
        succeeded(self.start(id).await)?;
        let code = succeeded(self.wait(id).await)?.exit_status;
        succeeded(self.delete(id).await)?;
        Ok(code)
    }

    /// Sends a process a signal.
    pub(crate) async fn kill(&self, exec: &str, signal: u32) -> CallResult<Empty> {
        let request = request!(
            self,
            KillRequest {
                exec_id: exec.into(),
                signal: signal
            }
        );
        self.call("Kill", request).await
    }

    /// Waits for the end of a process.
    pub(crate) async fn wait(&self, exec: &str) -> CallResult<WaitResponse> {
        let request = request!(
            self,
            WaitRequest {
                exec_id: exec.into()
            }
        );
        self.call("Wait", request).await
    }

    /// Deletes a process that has ended or was never started.
    pub(crate) async fn delete(&self, exec: &str) -> CallResult<DeleteResponse> {
        let request = request!(
            self,
            DeleteRequest {
                exec_id: exec.into()
            }
        );
        self.call("Delete", request).await
    }

    /// Returns the state of a process.
    pub(crate) async fn state(&self, exec: &str) -> CallResult<StateResponse> {
        let request = request!(
            self,
            StateRequest {
                exec_id: exec.into()
            }
        );
        self.call("State", request).await
    }

    /// Closes the stdin of a process.
    pub(crate) async fn close_io(&self, exec: &str) -> CallResult<Empty> {
        let request = request!(
            self,
            CloseIORequest {
                exec_id: exec.into(),
                stdin: true
            }
        );
        self.call("CloseIO", request).await
    }

    /// Sets the terminal of a process to 80 columns and 25 rows.
    pub(crate) async fn resize(&self, exec: &str) -> CallResult<Empty> {
        let request = request!(
            self,
            ResizePtyRequest {
                exec_id: exec.into(),
                width: 80,
                height: 25
            }
        );
        self.call("ResizePty", request).await
    }

    /// Returns the process ids of the shim and of a container's first process. The latter is 0 if the shim has no such
    /// container.
    pub(crate) async fn connect(&self, container: &str) -> CallResult<(u32, u32)> {
        let request = ConnectRequest {
            id: container.into(),
            ..Default::default()
        };
        let response: ConnectResponse = self.call("Connect", request).await?;
        Ok((response.shim_pid, response.task_pid))
    }

    /// Returns the processes of the container.
    pub(crate) async fn pids(&self) -> CallResult<PidsResponse> {
        self.call("Pids", request!(self, PidsRequest {})).await
    }

    /// Freezes the container.
    pub(crate) async fn pause(&self) -> CallResult<Empty> {
        self.call("Pause", request!(self, PauseRequest {})).await
    }

    /// Thaws the container.
    pub(crate) async fn resume(&self) -> CallResult<Empty> {
        self.call("Resume", request!(self, ResumeRequest {})).await
    }

    /// Returns the container's metrics.
    pub(crate) async fn stats(&self) -> CallResult<StatsResponse> {
        self.call("Stats", request!(self, StatsRequest {})).await
    }

    /// Writes the container's state to a directory.
    pub(crate) async fn checkpoint(&self, directory: &str) -> CallResult<Empty> {
        let request = request!(
            self,
            CheckpointTaskRequest {
                path: directory.into()
            }
        );
        self.call("Checkpoint", request).await
    }

    /// Changes the container's limits to an OCI `LinuxResources`, or to text that is not one.
    pub(crate) async fn update(&self, resources: &str) -> CallResult<Empty> {
        let resources = any("LinuxResources", resources);
        let request = request!(
            self,
            UpdateTaskRequest {
                resources: Some(resources).into()
            }
        );
        self.call("Update", request).await
    }

    async fn call<T: Message + MessageFull>(
        &self,
        method: &str,
        request: impl Message,
    ) -> CallResult<T> {
        let broken = |error: String| (Code::UNKNOWN, error);
        let payload = request
            .write_to_bytes()
            .map_err(|error| broken(error.to_string()))?;
        let request = Request {
            service: self.service.clone(),
            method: method.into(),
            payload,
            timeout_nano: i64::try_from(DEADLINE.as_nanos()).unwrap_or(i64::MAX),
            ..Default::default()
        };
        match self.client.request(request).await {
            Ok(response) => {
                T::parse_from_bytes(&response.payload).map_err(|error| broken(error.to_string()))
            }
            Err(ttrpc::Error::RpcStatus(status)) => Err((status.code(), status.message)),
            Err(error) => Err(broken(format!("{method}: {error}"))),
        }
    }
}

/// Returns the name of the task service of a version.
fn service(version: impl Display) -> String {
    format!("containerd.task.v{version}.Task")
}

/// Returns a message of the OCI runtime specification as containerd packs it.
fn any(kind: &str, json: &str) -> Any {
    Any {
        type_url: format!("types.containerd.io/opencontainers/runtime-spec/1/{kind}"),
        value: json.into(),
        ..Default::default()
    }
}
