//! One container of a pod: how it is set up, its state, its log.

use super::{OWN_PROCESSES, Pod, SHARED_PROCESSES, crictl, json_of, write};
use crate::container::ExecBuilder;
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use visits_tests::{DEADLINE, command, wait};

/// How a container of a pod is set up: restricted as far as Kubernetes can ask for it, unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Setup(Value);

impl Setup {
    /// A container of this image: its user, no capabilities, no new privileges, the runtime's seccomp profile.
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

    /// A native container that runs this line of shell, as root with its usual capabilities.
    pub(crate) fn native(script: &str) -> Self {
        let mut setup = Self::of(images::NATIVE);
        setup.0["args"] = json!([script]);
        setup.0["linux"]["security_context"] = json!({ "namespace_options": { "pid": OWN_PROCESSES }, "seccomp": { "profile_type": 0 } });
        setup
    }

    /// Arguments after the image's entrypoint: as Kubernetes has it, the entrypoint is repeated when there are any.
    pub(crate) fn command<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.0["command"] = words.into_iter().collect();
        self
    }

    /// In the process namespace of its pod, which must have been started so.
    pub(crate) fn sharing_processes(mut self) -> Self {
        let context = &mut self.0["linux"]["security_context"];
        context["namespace_options"]["pid"] = SHARED_PROCESSES.into();
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        push(&mut self.0["envs"], json!({ "key": name, "value": value }));
        self
    }

    /// A directory of the node.
    pub(crate) fn volume(mut self, source: &Path, destination: &str) -> Self {
        let mount = json!({ "host_path": source, "container_path": destination });
        push(&mut self.0["mounts"], mount);
        self
    }

    /// With a stdin that can be attached to, and so in a terminal or not.
    pub(crate) fn stdin(mut self, terminal: bool) -> Self {
        self.0["stdin"] = true.into();
        self.0["tty"] = terminal.into();
        self
    }

    /// No more memory than so many bytes.
    pub(crate) fn memory(mut self, bytes: u64) -> Self {
        self.0["linux"]["resources"]["memory_limit_in_bytes"] = bytes.into();
        self
    }
}

/// A container of a pod, which removes it.
#[derive(Debug)]
pub(crate) struct PodContainer {
    id: String,
    log: std::path::PathBuf,
}

impl PodContainer {
    /// Makes it.
    pub(super) async fn create(pod: &Pod, node: &Node, setup: Setup) -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("container-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let mut config = setup.0;
        config["metadata"] = json!({ "name": name, "attempt": 0 });
        config["log_path"] = format!("{name}.log").into();
        let file = pod.directory().join(format!("{name}.json"));
        write(&file, &config)?;
        let mut create = crictl(["create", "--no-pull", "--cancel-timeout", "40s", pod.id()])?;
        create.arg(file).arg(pod.config());
        let created = command::run_beside(create).await;
        let id = created.map_err(|error| node.failed(&format!("{error:#}")))?;
        Ok(Self {
            id: id.trim().to_owned(),
            log: pod.directory().join(format!("{name}.log")),
        })
    }

    /// Starts it.
    pub(crate) async fn start(&self, node: &Node) -> Result<()> {
        let started = command::run_beside(crictl(["start", &self.id])?).await;
        started
            .map(drop)
            .map_err(|error| node.failed(&format!("{error:#}")))
    }

    /// Its first process, as the node sees it.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let inspected = json_of(crictl(["inspect", "--output", "json", &self.id])?).await?;
        let pid = inspected["info"]["pid"].as_i64().context("info.pid")?;
        Ok(i32::try_from(pid)?)
    }

    /// Its name in containerd.
    pub(crate) fn containerd_id(&self) -> &str {
        &self.id
    }

    /// Runs these words in it through containerd's own interface, as a process that can be looked at.
    pub(crate) fn exec<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> ExecBuilder {
        ExecBuilder::new(images::KUBERNETES, &self.id, words)
    }

    /// Its status, as kubelet reads it.
    pub(crate) async fn status(&self) -> Result<Value> {
        let mut inspected = json_of(crictl(["inspect", "--output", "json", &self.id])?).await?;
        Ok(inspected["status"].take())
    }

    /// What it takes of the node, as kubelet reads it.
    pub(crate) async fn stats(&self) -> Result<Value> {
        let mut stats = json_of(crictl(["stats", "--output", "json", "--id", &self.id])?).await?;
        Ok(stats["stats"][0].take())
    }

    /// Waits until it takes connections on port 5000 of the pod.
    pub(crate) async fn listens(&self, pod: &Pod, node: &Node) -> Result<()> {
        wait::until("the pod listens", DEADLINE, async || {
            Ok(TcpStream::connect(pod.address()).await.ok())
        })
        .await
        .map(drop)
        .map_err(|error| node.failed(&format!("{:#}", self.failed(&format!("{error:#}")))))
    }

    /// Waits for its end and returns its last status.
    pub(crate) async fn ended(&self, node: &Node) -> Result<Value> {
        wait::until("the container ends", DEADLINE, async || {
            let status = self.status().await?;
            Ok((status["state"] == "CONTAINER_EXITED").then_some(status))
        })
        .await
        .map_err(|error| node.failed(&format!("{:#}", self.failed(&format!("{error:#}")))))
    }

    /// Gives it other limits, as kubelet does when a pod is resized: `--memory=67108864`.
    pub(crate) async fn update(&self, limits: &[&str]) -> Result<()> {
        let mut update = crictl(["update"])?;
        update.args(limits).arg(&self.id);
        command::run_beside(update).await.map(drop)
    }

    /// `crictl SUBCOMMAND FLAGS` of this container, with words after it.
    pub(crate) fn crictl(&self, line: &[&str], words: &[&str]) -> Result<Command> {
        let mut command = crictl(line.iter().copied())?;
        command.arg(&self.id).args(words);
        Ok(command)
    }

    /// Stops it as kubelet does, and kills it after so many seconds.
    pub(crate) async fn stop(&self, seconds: u64) -> Result<()> {
        let seconds = seconds.to_string();
        let stop = crictl(["stop", "--timeout", &seconds, &self.id])?;
        command::run_beside(stop).await.map(drop)
    }

    /// What it has written, a line each, as kubelet finds it: `TIME STREAM F TEXT`; here without the time.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let rest = |line: &str| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned();
        text.lines().map(rest).collect()
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{what}; the log of container {}:\n{}\n---",
            self.id,
            self.log().join("\n")
        )
    }
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut()
        .expect("a list from the start")
        .push(value);
}
