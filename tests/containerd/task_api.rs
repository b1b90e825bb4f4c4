//! A shim's task API without containerd in between: calls that `ctr` cannot make, such as an exec that is never
//! started.

use crate::ctr;
use anyhow::{Context, Result, ensure};
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, DeleteRequest, DeleteResponse, Empty,
    ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest,
    ResumeRequest, StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest,
    StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageFull};
use containerd_shim_protos::shim_async::Client;
use containerd_shim_protos::ttrpc::{self, Code, Request};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use visits_tests::DEADLINE;

/// What a call came to: its response, or the code and the message of its refusal.
pub(crate) type Called<T> = std::result::Result<T, (Code, String)>;

/// The named pipes of an exec, as containerd makes them.
pub(crate) struct Fifos(TempDir);

impl Fifos {
    /// Makes them.
    pub(crate) fn new() -> Result<Self> {
        let fifos = Self(tempfile::tempdir()?);
        for path in [fifos.stdin(), fifos.stdout()] {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        Ok(fifos)
    }

    /// What the process reads.
    pub(crate) fn stdin(&self) -> String {
        self.0.path().join("stdin").display().to_string()
    }

    /// What it writes to.
    pub(crate) fn stdout(&self) -> String {
        self.0.path().join("stdout").display().to_string()
    }

    /// Opens the other ends, without waiting for the process to open its own.
    pub(crate) fn open(&self) -> Result<(File, File)> {
        let mut both = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        both.read(true).write(true).custom_flags(flags);
        Ok((both.open(self.stdin())?, both.open(self.stdout())?))
    }
}

/// A connection to the shim of one container.
pub(crate) struct Shim {
    client: Client,
    service: String,
    container: String,
    process: Value,
}

impl Shim {
    /// Connects to the shim of a container that `ctr` made.
    pub(crate) async fn of(container: &str) -> Result<Self> {
        let bundle = PathBuf::from("/run/containerd/io.containerd.runtime.v2.task")
            .join(ctr::NAMESPACE)
            .join(container);
        let read = |name: &str| -> Result<Value> {
            let path = bundle.join(name);
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| text.clone())
        };
        let bootstrap = read("bootstrap.json")?;
        ensure!(bootstrap["protocol"] == "ttrpc", "{bootstrap}");
        let address = bootstrap["address"].as_str().context("its address")?;
        let client = Client::connect(address).await;
        Ok(Self {
            client: client.with_context(|| format!("connect to {address}"))?,
            service: format!("containerd.task.v{}.Task", bootstrap["version"]),
            container: container.to_owned(),
            process: read("config.json")?["process"].take(),
        })
    }

    /// Adds an exec without streams that runs these words as the container's first process is run.
    pub(crate) async fn exec(&self, id: &str, words: &[&str]) -> Called<Empty> {
        self.exec_with(id, words, String::new(), String::new())
            .await
    }

    /// The same with a stdin and a stdout.
    pub(crate) async fn exec_with(
        &self,
        id: &str,
        words: &[&str],
        stdin: String,
        stdout: String,
    ) -> Called<Empty> {
        let mut process = self.process.clone();
        process["args"] = json!(words);
        process["terminal"] = false.into();
        let spec = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".into(),
            value: process.to_string().into_bytes(),
            ..Default::default()
        };
        let request = ExecProcessRequest {
            id: self.container.clone(),
            exec_id: id.into(),
            stdin,
            stdout,
            spec: Some(spec).into(),
            ..Default::default()
        };
        self.call("Exec", request).await
    }

    /// Starts an exec.
    pub(crate) async fn start(&self, exec_id: &str) -> Called<StartResponse> {
        let request = StartRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            ..Default::default()
        };
        self.call("Start", request).await
    }

    /// Sends a process a signal.
    pub(crate) async fn kill(&self, exec_id: &str, signal: u32, all: bool) -> Called<Empty> {
        let request = KillRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            signal,
            all,
            ..Default::default()
        };
        self.call("Kill", request).await
    }

    /// Waits for the end of a process.
    pub(crate) async fn wait(&self, exec_id: &str) -> Called<WaitResponse> {
        let request = WaitRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            ..Default::default()
        };
        self.call("Wait", request).await
    }

    /// Removes a process that has ended, or was never started.
    pub(crate) async fn delete(&self, exec_id: &str) -> Called<DeleteResponse> {
        let request = DeleteRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            ..Default::default()
        };
        self.call("Delete", request).await
    }

    /// The state of a process.
    pub(crate) async fn state(&self, exec_id: &str) -> Called<StateResponse> {
        let request = StateRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            ..Default::default()
        };
        self.call("State", request).await
    }

    /// Closes the input of a process.
    pub(crate) async fn close_io(&self, exec_id: &str) -> Called<Empty> {
        let request = CloseIORequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            stdin: true,
            ..Default::default()
        };
        self.call("CloseIO", request).await
    }

    /// Gives the terminal of a process another size.
    pub(crate) async fn resize(&self, exec_id: &str) -> Called<Empty> {
        let request = ResizePtyRequest {
            id: self.container.clone(),
            exec_id: exec_id.into(),
            width: 80,
            height: 25,
            ..Default::default()
        };
        self.call("ResizePty", request).await
    }

    /// The processes of the container.
    pub(crate) async fn pids(&self) -> Called<PidsResponse> {
        let request = PidsRequest {
            id: self.container.clone(),
            ..Default::default()
        };
        self.call("Pids", request).await
    }

    /// Freezes the container.
    pub(crate) async fn pause(&self) -> Called<Empty> {
        let request = PauseRequest {
            id: self.container.clone(),
            ..Default::default()
        };
        self.call("Pause", request).await
    }

    /// Lets it run again.
    pub(crate) async fn resume(&self) -> Called<Empty> {
        let request = ResumeRequest {
            id: self.container.clone(),
            ..Default::default()
        };
        self.call("Resume", request).await
    }

    /// What the container uses.
    pub(crate) async fn stats(&self) -> Called<StatsResponse> {
        let request = StatsRequest {
            id: self.container.clone(),
            ..Default::default()
        };
        self.call("Stats", request).await
    }

    /// Keeps the container's state in a directory.
    pub(crate) async fn checkpoint(&self, directory: &str) -> Called<Empty> {
        let request = CheckpointTaskRequest {
            id: self.container.clone(),
            path: directory.into(),
            ..Default::default()
        };
        self.call("Checkpoint", request).await
    }

    /// Gives the container other limits: an OCI `LinuxResources`, or what is none.
    pub(crate) async fn update(&self, resources: &str) -> Called<Empty> {
        let resources = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources".into(),
            value: resources.into(),
            ..Default::default()
        };
        let request = UpdateTaskRequest {
            id: self.container.clone(),
            resources: Some(resources).into(),
            ..Default::default()
        };
        self.call("Update", request).await
    }

    async fn call<T: Message + MessageFull>(
        &self,
        method: &str,
        request: impl Message,
    ) -> Called<T> {
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
