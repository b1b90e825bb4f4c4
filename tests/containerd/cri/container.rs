//! One container of a pod: its configuration, its state and its log.

use super::{OWN_PROCESSES, Pod, SHARED_PROCESSES, mapping, user_namespace, write};
use crate::container::{ExecBuilder, Workload};
use crate::crictl;
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use visits_tests::{DEADLINE, command, wait};

/// The configuration of a container that is not created yet. By default it is as restricted as Kubernetes can make it.
#[derive(Clone, Debug)]
pub(crate) struct Setup(Value);

impl Setup {
    /// Configures a container of this image: its user, no capabilities, no new privileges, the runtime's seccomp profile.
    pub(crate) fn of(image: &str) -> Self {
        Self(json!({
            "image": { "image": image },
            "envs": [],
            "mounts": [],
            "linux": {
                "resources": {},
                "security_context": {
                    "namespace_options": { "pid": OWN_PROCESSES },
                    "capabilities": { "drop_capabilities": ["ALL"] },
                    "no_new_privs": true,
                    "seccomp": { "profile_type": 0 },
                    "readonly_rootfs": true,
                    "run_as_user": { "value": images::USER },
                    "run_as_group": { "value": images::USER },
                },
            },
        }))
    }

    /// Configures a native container that runs this line of shell as root, with the default capabilities.
    pub(crate) fn native(script: &str) -> Self {
        let mut setup = Self::of(images::NATIVE);
        setup.0["args"] = json!([script]);
        setup.0["linux"]["security_context"] = json!({ "namespace_options": { "pid": OWN_PROCESSES }, "seccomp": { "profile_type": 0 } });
        setup
    }

    /// Configures a restricted container of this workload.
    pub(crate) fn of_workload(workload: Workload) -> Self {
        match workload {
            Workload::Runc | Workload::Native => {
                Self::of(images::NATIVE).command(["/tools/sleep", "1000"])
            }
            Workload::Wasm => Self::of(images::COMMANDS),
        }
    }

    /// Configures a counter with its count in this directory of the node.
    pub(crate) fn visits(volume: &Path) -> Self {
        Self::of(images::VISITS).volume(volume, images::VISITS_VOLUME)
    }

    /// Replaces the image's entrypoint and command.
    pub(crate) fn command<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.0["command"] = words.into_iter().collect();
        self
    }

    /// Shares the process namespace of the pod. The pod must be started with [`Pod::start_sharing_processes`].
    pub(crate) fn sharing_processes(mut self) -> Self {
        let context = &mut self.0["linux"]["security_context"];
        context["namespace_options"]["pid"] = SHARED_PROCESSES.into();
        self
    }

    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        push(&mut self.0["envs"], json!({ "key": name, "value": value }));
        self
    }

    /// Mounts a directory of the node.
    pub(crate) fn volume(mut self, source: &Path, destination: &str) -> Self {
        let mount = json!({ "host_path": source, "container_path": destination });
        push(&mut self.0["mounts"], mount);
        self
    }

    /// Shares the user namespace of the pod. The pod must be started with [`Pod::start_in_user_namespace`].
    pub(crate) fn in_user_namespace(mut self) -> Self {
        let context = &mut self.0["linux"]["security_context"];
        context["namespace_options"]["userns_options"] = user_namespace();
        self
    }

    /// Mounts a directory of the node with mapped owners, as kubelet does in a pod with a user namespace.
    pub(crate) fn mapped_volume(mut self, source: &Path, destination: &str) -> Self {
        let mount = json!({
            "host_path": source,
            "container_path": destination,
            "uidMappings": mapping(),
            "gidMappings": mapping(),
        });
        push(&mut self.0["mounts"], mount);
        self
    }

    /// Keeps stdin open for an attachment, in a terminal if `terminal` is true.
    pub(crate) fn stdin(mut self, terminal: bool) -> Self {
        self.0["stdin"] = true.into();
        self.0["tty"] = terminal.into();
        self
    }

    /// Limits the memory to this number of bytes.
    pub(crate) fn memory(mut self, bytes: u64) -> Self {
        self.0["linux"]["resources"]["memory_limit_in_bytes"] = bytes.into();
        self
    }
}

/// A container of a pod. It is removed with the pod.
#[derive(Debug)]
pub(crate) struct PodContainer {
    id: String,
    log: std::path::PathBuf,
}

impl PodContainer {
    /// Creates it.
    pub(super) async fn create(pod: &Pod, node: &Node, setup: Setup) -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("container-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let mut config = setup.0;
        config["metadata"] = json!({ "name": name, "attempt": 0 });
        config["log_path"] = format!("{name}.log").into();
        let file = pod.directory().join(format!("{name}.json"));
        write(&file, &config)?;
        let mut create =
            crictl::command(["create", "--no-pull", "--cancel-timeout", "40s", pod.id()])?;
        create.arg(file).arg(pod.config());
        let id = node.with_log(command::run_beside(create).await)?;
        Ok(Self {
            id: id.trim().to_owned(),
            log: pod.directory().join(format!("{name}.log")),
        })
    }

    /// Starts it.
    pub(crate) async fn start(&self, node: &Node) -> Result<()> {
        let started = crictl::run(["start", &self.id]).await;
        node.with_log(started).map(drop)
    }

    /// Returns its first process as the node sees it.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let inspected = crictl::json(["inspect", "--output", "json", &self.id]).await?;
        let pid = inspected["info"]["pid"]
            .as_i64()
            .context("the status has no info.pid")?;
        Ok(i32::try_from(pid)?)
    }

    /// Describes a process in it that runs these words. It goes through containerd's own API, which reports its process id.
    pub(crate) fn exec<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> ExecBuilder {
        ExecBuilder::new(images::KUBERNETES, &self.id, words)
    }

    /// Returns its status, as kubelet reads it.
    pub(crate) async fn status(&self) -> Result<Value> {
        let mut inspected = crictl::json(["inspect", "--output", "json", &self.id]).await?;
        Ok(inspected["status"].take())
    }

    /// Fails unless it runs.
    pub(crate) async fn is_running(&self) -> Result<()> {
        let state = self.status().await?["state"].take();
        ensure!(state == "CONTAINER_RUNNING", "the container is {state}");
        Ok(())
    }

    /// Returns its use of resources, as kubelet reads it.
    pub(crate) async fn stats(&self) -> Result<Value> {
        let mut stats = crictl::json(["stats", "--output", "json", "--id", &self.id]).await?;
        Ok(stats["stats"][0].take())
    }

    /// Waits until it accepts connections on port 5000 of the pod.
    pub(crate) async fn listens(&self, pod: &Pod, node: &Node) -> Result<()> {
        let listens = wait::until("the pod listens", DEADLINE, async || {
            Ok(TcpStream::connect(pod.address()).await.ok())
        });
        node.with_log(self.with_output(listens.await)).map(drop)
    }

    /// Waits for its end and returns its last status.
    pub(crate) async fn ended(&self, node: &Node) -> Result<Value> {
        let ended = wait::until("the container ends", DEADLINE, async || {
            let status = self.status().await?;
            Ok((status["state"] == "CONTAINER_EXITED").then_some(status))
        });
        node.with_log(self.with_output(ended.await))
    }

    /// Changes its limits, as kubelet does when a pod is resized: `--memory=67108864`.
    pub(crate) async fn update(&self, limits: &[&str]) -> Result<()> {
        let line = ["update"].iter().chain(limits).copied();
        crictl::run(line.chain([self.id.as_str()])).await.map(drop)
    }

    /// Returns the command line `crictl LINE CONTAINER WORDS`.
    pub(crate) fn crictl(&self, line: &[&str], words: &[&str]) -> Result<Command> {
        let line = line.iter().copied().chain([self.id.as_str()]);
        crictl::command(line.chain(words.iter().copied()))
    }

    /// Stops it as kubelet does: with SIGTERM, and with SIGKILL after this number of seconds.
    pub(crate) async fn stop(&self, seconds: u64) -> Result<()> {
        let seconds = seconds.to_string();
        let stop = ["stop", "--timeout", &seconds, &self.id];
        crictl::run(stop).await.map(drop)
    }

    /// Returns the lines of its log. Kubelet finds `TIME STREAM F TEXT`; the time is left out here.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let rest = |line: &str| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned();
        text.lines().map(rest).collect()
    }

    /// Adds the container's log to an error.
    fn with_output<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            anyhow!(
                "{error:#}; the log of container {}:\n{}\n---",
                self.id,
                self.log().join("\n")
            )
        })
    }
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut()
        .expect("every configuration has this list")
        .push(value);
}
