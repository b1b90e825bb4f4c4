//! The node as the machine sees it: one process, `unshare`, whose end is the end of all, and a child of it that is the
//! first process in the node's namespaces.

use crate::command;
use crate::inside::FURNISHED;
use crate::network::Network;
use crate::programs::Binaries;
use crate::state::State;
use crate::{cgroup, wait};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the first process may take to be there, or to be gone.
const APPEAR: Duration = Duration::from_secs(30);
/// How long a program may take to end and to be started again.
const RESTART: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    outer: Pid,
    first: Pid,
    network: Network,
    /// The file that names it.
    note: PathBuf,
}

impl Node {
    /// The node of this cluster, if it runs. What is left of one that has died by itself is removed.
    pub(crate) fn find(state: &State) -> Result<Option<Self>> {
        let file = note(state);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let node: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what this program wrote", file.display()))?;
        let pid = |name: &str| {
            node[name]
                .as_i64()
                .and_then(|pid| Pid::from_raw(pid.try_into().ok()?))
        };
        let (Some(outer), Some(first)) = (pid("outer"), pid("first")) else {
            bail!("{} is not what this program wrote", file.display());
        };
        // Numbers of processes are used again; together with the time of the start they are not.
        let runs = node["started"] == json!(started(outer));
        let node = Self {
            outer,
            first,
            network: state.network,
            note: file,
        };
        if runs {
            return Ok(Some(node));
        }
        node.forget()?;
        Ok(None)
    }

    /// The running node, else an error that says how to get one.
    pub(crate) fn running(state: &State) -> Result<Self> {
        Self::find(state)?.with_context(|| {
            let directory = state.directory().display();
            if state.exists() {
                format!("the node of the cluster in {directory} is stopped: start it with `cargo xtask cluster start`")
            } else {
                format!("there is no cluster in {directory}: make one with `make cluster`")
            }
        })
    }

    /// Starts it. It goes on after this program's end.
    pub(crate) fn start(state: &State, binaries: &Binaries) -> Result<Self> {
        state.network.check_free()?;
        // A power cut would have left no cgroup, but this machine runs on. kubelet would look into each for 3 s.
        cgroup::remove(state.network)?;
        cgroup::make(state.network)?;
        let log = state.logs().join("node.log");
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .with_context(|| log.display().to_string())
        };
        let mut command = Command::new("setsid");
        command
            .args([
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "--net",
                "--ipc",
            ])
            .args(["--uts", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(std::env::current_exe().context("find this program")?)
            .arg("inside")
            .arg(state.directory())
            .envs(binaries.environment())
            .stdin(Stdio::piped())
            .stdout(open()?)
            .stderr(open()?);
        let mut child = command
            .spawn()
            .context("run setsid, which is part of util-linux")?;
        let outer = Pid::from_child(&child);
        // Or nothing, when it has ended already.
        let first = wait::until("the first process of the node", APPEAR, || {
            match child.try_wait()? {
                Some(_) => Ok(Some(None)),
                None => Ok(child_of(outer)?.map(Some)),
            }
        })?;
        let first = first
            .with_context(|| format!("start the node: it has ended; see {}", log.display()))?;
        let node = Self {
            outer,
            first,
            network: state.network,
            note: note(state),
        };
        let connected = state.network.connect(&node).and_then(|()| {
            let note = json!({
                "outer": outer.as_raw_nonzero().get(),
                "first": first.as_raw_nonzero().get(),
                "started": started(outer),
            });
            fs::write(&node.note, note.to_string())
                .with_context(|| format!("write {}", node.note.display()))?;
            let mut go = child.stdin.take().context("its stdin is a pipe")?;
            go.write_all(b"\n")
                .context("tell the node that its network is there")?;
            wait::until("the node's file systems", APPEAR, || {
                Ok((node.path(FURNISHED).exists() || node.has_ended()).then_some(()))
            })?;
            ensure!(!node.has_ended(), "it has ended");
            Ok(())
        });
        if let Err(error) = connected {
            node.kill()?;
            let _ = child.wait();
            return Err(error).with_context(|| format!("start the node; see {}", log.display()));
        }
        Ok(node)
    }

    /// Whether its processes have ended, for whatever reason.
    pub(crate) fn has_ended(&self) -> bool {
        is_gone(self.first)
    }

    /// The first process inside, by its number on the machine.
    pub(crate) fn first(&self) -> i32 {
        self.first.as_raw_nonzero().get()
    }

    /// Ends everything in it at once, as a power cut would but for what the kernel still writes to the disk.
    pub(crate) fn kill(&self) -> Result<()> {
        // unshare's child is killed with it, and the kernel then kills all others. What a cgroup has frozen would not
        // die, and the first process would wait for it for ever.
        cgroup::thaw_all(self.network);
        for pid in [self.outer, self.first] {
            // One that has ended already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        wait::until("the end of the node's first process", APPEAR, || {
            Ok([self.outer, self.first]
                .into_iter()
                .all(is_gone)
                .then_some(()))
        })?;
        self.forget()
    }

    /// Removes what says that it runs: its interface, which another cluster may then have, and the note of it.
    fn forget(&self) -> Result<()> {
        self.network.disconnect()?;
        match fs::remove_file(&self.note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.note.display()))
            }
            _ => Ok(()),
        }
    }

    /// This program, in the node.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.first().to_string())
            // In its root directory, for that is where a process is that enters the mounts of another.
            .args(["--mount", "--net", "--ipc", "--uts", "--pid", "--"])
            .arg(program);
        command
    }

    /// A file of the node as the machine sees it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first()))
    }

    /// Ends one of its programs as an administrator's restart does, and waits for the next one.
    pub(crate) fn restart(&self, name: &str) -> Result<()> {
        let file = self.path(&crate::supervise::pid_file(name));
        let read = || fs::read_to_string(&file).ok();
        let old = read().with_context(|| {
            format!(
                "{name} does not run on the node; what does: {}",
                crate::programs::NAMES.join(", ")
            )
        })?;
        let mut kill = self.command("kill");
        kill.args(["-TERM", old.trim()]);
        command::run(kill)?;
        wait::until(&format!("another process of {name}"), RESTART, || {
            Ok(read()
                .filter(|new| !new.is_empty() && *new != old)
                .map(drop))
        })
    }
}

fn note(state: &State) -> PathBuf {
    state.path("node.json")
}

/// When a process was started, in the kernel's ticks since its own start; nothing if it has ended.
fn started(pid: Pid) -> Option<u64> {
    let stat = stat(pid)?;
    let state = stat.first()?;
    (state != "Z").then(|| stat.get(19)?.parse().ok()).flatten()
}

fn is_gone(pid: Pid) -> bool {
    started(pid).is_none()
}

/// The words of `/proc/PID/stat` after the program's name, which may hold anything.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The child of a process that has one, if it is there yet.
fn child_of(parent: Pid) -> Result<Option<Pid>> {
    for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| Pid::from_raw(name.parse().ok()?));
        if let Some(pid) = pid {
            let its = stat(pid).and_then(|stat| stat.get(1)?.parse::<i32>().ok());
            if its == Some(parent.as_raw_nonzero().get()) {
                return Ok(Some(pid));
            }
        }
    }
    Ok(None)
}
