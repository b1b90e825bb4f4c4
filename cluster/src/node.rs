//! The node as the machine sees it: the process `unshare`, whose end ends all others, and its child, which is the first
//! process in the node's namespaces.

use crate::binaries::{Binaries, NAMES};
use crate::network::Network;
use crate::paths::{MOUNTED, pid_file};
use crate::state::State;
use crate::{cgroup, namespaces};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use visits_support::{command, wait};

/// How long the first process may take to appear, or to end.
const FIRST_PROCESS: Duration = Duration::from_secs(30);
/// How long a program may take to end and start again.
const RESTART: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    outer: Pid,
    first: Pid,
    network: Network,
    /// The file that records its processes.
    record: PathBuf,
}

impl Node {
    /// Returns the node of this cluster if it runs. Cleans up after a node that ended by itself.
    pub(crate) fn find(state: &State) -> Result<Option<Self>> {
        let file = record(state);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let node: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged (remove it)", file.display()))?;
        let pid = |name: &str| {
            node[name]
                .as_i64()
                .and_then(|pid| Pid::from_raw(pid.try_into().ok()?))
        };
        let (Some(outer), Some(first)) = (pid("outer"), pid("first")) else {
            bail!("{} is damaged (remove it)", file.display());
        };
        // The kernel reuses process ids, but no id has the same start time twice.
        let runs = node["started"] == json!(started(outer));
        let node = Self {
            outer,
            first,
            network: state.network,
            record: file,
        };
        if runs {
            return Ok(Some(node));
        }
        node.forget()?;
        Ok(None)
    }

    /// Returns the running node, or an error with the command that starts one.
    pub(crate) fn running(state: &State) -> Result<Self> {
        Self::find(state)?.with_context(|| {
            let directory = state.directory().display();
            if state.exists() {
                format!("the node of the cluster in {directory} is stopped (start it with `cargo xtask cluster start`)")
            } else {
                format!("no cluster in {directory} (bring one up with `make cluster`)")
            }
        })
    }

    /// Starts the node, which outlives this program.
    pub(crate) fn start(state: &State, binaries: &Binaries) -> Result<Self> {
        state.network.check_free()?;
        // Cgroups of a killed node remain on this machine, and kubelet would spend 3 s on each.
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
            .arg(std::env::current_exe().context("cannot find this program's own file")?)
            .arg("inside")
            .arg(state.directory())
            .stdin(Stdio::piped())
            .stdout(open()?)
            .stderr(open()?);
        binaries.apply(&mut command);
        let mut child = command
            .spawn()
            .context("cannot run setsid (is util-linux installed?)")?;
        let outer = Pid::from_child(&child);
        let first = wait::retry("the first process of the node", FIRST_PROCESS, || {
            match child.try_wait()? {
                // It has ended already.
                Some(_) => Ok(Some(None)),
                None => Ok(child_of(outer)?.map(Some)),
            }
        })?;
        let first = first
            .with_context(|| format!("the node ended during its start (see {})", log.display()))?;
        let node = Self {
            outer,
            first,
            network: state.network,
            record: record(state),
        };
        let connected = state.network.connect(node.first()).and_then(|()| {
            let record = json!({
                "outer": outer.as_raw_nonzero().get(),
                "first": first.as_raw_nonzero().get(),
                "started": started(outer),
            });
            fs::write(&node.record, record.to_string())
                .with_context(|| format!("cannot write {}", node.record.display()))?;
            let mut connected = child.stdin.take().context("its stdin is a pipe")?;
            connected
                .write_all(b"\n")
                .context("cannot notify the node that its network exists")?;
            wait::until("the node's file systems", FIRST_PROCESS, || {
                Ok((node.path(MOUNTED).exists() || node.has_ended()).then_some(()))
            })?;
            ensure!(!node.has_ended(), "the node ended");
            Ok(())
        });
        if let Err(error) = connected {
            node.kill()?;
            let _ = child.wait();
            return Err(error)
                .with_context(|| format!("cannot start the node (see {})", log.display()));
        }
        Ok(node)
    }

    /// Returns whether its processes have ended.
    pub(crate) fn has_ended(&self) -> bool {
        is_gone(self.first)
    }

    /// Returns the first process's id on the machine.
    pub(crate) fn first(&self) -> i32 {
        self.first.as_raw_nonzero().get()
    }

    /// Ends every process at once, like a power cut, except that the kernel still writes its cached data to the disk.
    pub(crate) fn kill(&self) -> Result<()> {
        // unshare's child is killed with it, and the kernel then kills all others. A frozen process would stay alive, and
        // the first process would wait forever.
        cgroup::thaw(self.network);
        for pid in [self.outer, self.first] {
            // It fails if the process has ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        wait::until("the end of the node's first process", FIRST_PROCESS, || {
            Ok([self.outer, self.first]
                .into_iter()
                .all(is_gone)
                .then_some(()))
        })?;
        self.forget()
    }

    /// Removes the interface, which frees the network for another cluster, and the record.
    fn forget(&self) -> Result<()> {
        self.network.disconnect()?;
        match fs::remove_file(&self.record) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.record.display()))
            }
            _ => Ok(()),
        }
    }

    /// Returns a command that runs this program in the node.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        namespaces::enter(self.first(), program)
    }

    /// Returns the path by which the machine reaches a file of the node.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first()))
    }

    /// Ends one of the node's programs with SIGTERM or SIGKILL, and waits until the supervisor has started it again.
    pub(crate) fn restart(&self, name: &str, kill: bool) -> Result<()> {
        let file = self.path(&pid_file(name));
        let read = || fs::read_to_string(&file).ok();
        let old = read().with_context(|| {
            format!(
                "{name} does not run on the node (these programs do: {})",
                NAMES.join(", ")
            )
        })?;
        let signal = if kill { "-KILL" } else { "-TERM" };
        let mut command = self.command("kill");
        command.args([signal, old.trim()]);
        command::run(command)?;
        wait::until(&format!("a new process of {name}"), RESTART, || {
            Ok(read()
                .filter(|new| !new.is_empty() && *new != old)
                .map(drop))
        })
    }
}

fn record(state: &State) -> PathBuf {
    state.path("node.json")
}

/// Returns a process's start time in ticks since the machine's boot, or `None` if the process has ended.
fn started(pid: Pid) -> Option<u64> {
    let stat = stat(pid)?;
    let state = stat.first()?;
    (state != "Z").then(|| stat.get(19)?.parse().ok()).flatten()
}

fn is_gone(pid: Pid) -> bool {
    started(pid).is_none()
}

/// Returns the fields of `/proc/PID/stat` after the program's name, which may hold any character.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Returns a child of this process, if it has one yet.
fn child_of(parent: Pid) -> Result<Option<Pid>> {
    for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| Pid::from_raw(name.parse().ok()?));
        if let Some(pid) = pid {
            let its_parent = stat(pid).and_then(|stat| stat.get(1)?.parse::<i32>().ok());
            if its_parent == Some(parent.as_raw_nonzero().get()) {
                return Ok(Some(pid));
            }
        }
    }
    Ok(None)
}
