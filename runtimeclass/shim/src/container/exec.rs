//! The request to add a process to a container that runs.
//!
//! libcontainer's own way, `as_tenant`, loses the system call filter and the user namespace, and leaves a socket behind for
//! every call (docs/upstream/tenant.md, tenant-sockets.md). So this file calls the same public parts with arguments of its
//! own:
//!
//! - A process id may be reused. So the shim opens the files of the container's first process, and then compares the
//!   process's cgroup with the container's.
//! - The process passes libcontainer's gate at once, because that was opened in advance. It then waits at a gate of the
//!   shim ([`Gate`]) until the server knows it.

use super::bundle::{capabilities, rewrite, spec};
use super::code::program::{self, Program, Search};
use super::code::store::Store;
use super::console;
use super::executor::Executor;
use super::gate::Gate;
use super::isolation::label;
use super::users::{self, Users};
use crate::cgroup::Cgroup;
use crate::helper::hand_over;
use crate::request::ExecRequest;
use crate::stdio;
use anyhow::{Context, Result, ensure};
use libcgroups::common::CgroupConfig;
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use libcontainer::notify_socket::{NotifyListener, NotifySocket};
use libcontainer::oci_spec::runtime::{
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Process, Spec,
};
use libcontainer::process::args::{ContainerArgs, ContainerType};
use libcontainer::process::container_main_process::container_main_process;
use libcontainer::syscall::syscall::SyscallType;
use preopen_host::cache::Entry;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The error if the container's first process has ended.
const ENDED: &str = "the container has ended";

/// Starts the process and returns its id. Hands over its pidfd, and its terminal or the reading ends of its output.
pub(super) fn exec(request: &ExecRequest) -> Result<i32> {
    let location = &request.location;
    let container = Container::load(location.container()).context("cannot load the container")?;
    let config = YoukiConfig::load(location.container()).context("cannot load the container")?;
    let cgroup = CgroupConfig {
        cgroup_path: config.cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: location.id.clone(),
    };
    let mut spec = spec::load(location)?;
    let serves = spec::manifest(&spec).is_some();
    let init = Init::open(request.init, &spec, &cgroup)?;
    let mut process = process(&request.process, &init.root)?;
    label::check(&process)?;
    let users = Users::of(&spec)?;
    users.check(&process)?;
    let user = users.user(process.user().uid())?;
    let code = program::find(
        &process,
        &Search {
            root: init.root.try_clone()?,
            serves,
            store: Store {
                cache: &request.cache,
                owner: &spec::owner(&spec, location),
            },
            cgroup: &init.cgroup,
            users: users.clone(),
        },
    )?;
    let code = match code {
        Program::Native => None,
        Program::Wasm(code) => {
            process = reduced(&process)?;
            Some(code)
        }
    };
    if let Some(score) = process.oom_score_adj() {
        std::fs::write("/proc/self/oom_score_adj", score.to_string())
            .context("cannot set the process's OOM score")?;
    }
    spec.set_process(Some(process));
    if users.ids().is_some() {
        users::set_limits(&spec)?;
    }
    reduce(&mut spec, init.namespaces()?)?;
    Starting {
        request,
        container,
        cgroup,
        spec,
        user,
    }
    .start(code)
}

/// Reads the process that containerd describes, rewritten for libcontainer.
fn process(text: &str, root: &File) -> Result<Process> {
    let mut process: serde_json::Value =
        serde_json::from_str(text).context("cannot read the process to add")?;
    rewrite::process(&mut process, root);
    serde_json::from_value(process).context("cannot read the process to add")
}

/// Returns the description of a process that executes no program (see [`capabilities`]).
fn reduced(process: &Process) -> Result<Process> {
    let mut process = serde_json::to_value(process)?;
    capabilities::reduce_as_by_execve(&mut process);
    Ok(serde_json::from_value(process)?)
}

/// Removes the parts of the container's specification that only its first process needs.
fn reduce(spec: &mut Spec, namespaces: Vec<LinuxNamespace>) -> Result<()> {
    spec.set_hooks(None);
    let linux = spec.linux_mut().as_mut();
    let linux = linux.context("the container's specification has no linux section")?;
    linux.set_namespaces(Some(namespaces));
    linux.set_resources(None);
    linux.set_net_devices(None);
    linux.set_intel_rdt(None);
    linux.set_time_offsets(None);
    Ok(())
}

/// The open files of a container's first process.
struct Init {
    cgroup: Cgroup,
    root: File,
    namespaces: Vec<(LinuxNamespaceType, File)>,
}

impl Init {
    fn open(pid: i32, spec: &Spec, cgroup: &CgroupConfig) -> Result<Self> {
        let process = pidfd_open(Pid::from_raw(pid).context(ENDED)?, PidfdFlags::empty());
        let process = process.context(ENDED)?;
        let open = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            File::open(&path).with_context(|| format!("cannot open {path}"))
        };
        let root = open("root")?;
        let linux = spec.linux().as_ref();
        let linux = linux.context("the container's specification has no linux section")?;
        let namespaces = linux
            .namespaces()
            .iter()
            .flatten()
            .map(|namespace| {
                let kind = namespace.typ();
                Ok((kind, open(&format!("ns/{}", name_of(kind)))?))
            })
            .collect::<Result<_>>()?;
        let own = Cgroup::of(pid)?;
        ensure!(own.is_at(&cgroup.cgroup_path, cgroup.systemd_cgroup), ENDED);
        // The process is still alive, so everything opened above is its own.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&now))?;
        ensure!(ended == 0, ENDED);
        Ok(Self {
            cgroup: own,
            root,
            namespaces,
        })
    }

    /// Returns the namespaces for libcontainer, as paths of descriptors. Inside a user namespace, names in /proc/PID could
    /// no longer be opened.
    fn namespaces(&self) -> Result<Vec<LinuxNamespace>> {
        self.namespaces
            .iter()
            .map(|(kind, file)| {
                let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
                let namespace = LinuxNamespaceBuilder::default().typ(*kind).path(path);
                Ok(namespace.build()?)
            })
            .collect()
    }
}

/// Returns the name of a namespace in /proc/PID/ns.
fn name_of(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

/// The parts that the start of the process needs.
struct Starting<'a> {
    request: &'a ExecRequest,
    container: Container,
    cgroup: CgroupConfig,
    spec: Spec,
    user: u32,
}

impl Starting<'_> {
    fn start(self, code: Option<Entry>) -> Result<i32> {
        let (streams, outputs) = match self.request.terminal {
            true => (None, Vec::new()),
            false => {
                let (streams, outputs) = stdio::open_apart(&self.request.stdio, self.user)?;
                (Some(streams), outputs)
            }
        };
        let stream = |at: usize| streams.as_ref().map(|streams| streams[at].as_raw_fd());
        let (console, sender) = UnixStream::pair()?;
        let terminal = self.request.terminal.then(|| sender.as_raw_fd());
        // libcontainer writes the reason of a failure into this pipe and into its log. The log is read.
        let (_reasons, reasons) = pipe_with(PipeFlags::CLOEXEC)?;
        let gate = Rc::new(Gate::new()?);
        // Until the new process runs its program, no other process of the container may trace it.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        let args = ContainerArgs {
            container_type: ContainerType::TenantContainer {
                exec_notify_fd: reasons.as_raw_fd(),
            },
            syscall: SyscallType::default(),
            spec: Rc::new(self.spec),
            rootfs: self.request.location.rootfs(),
            console_socket: terminal,
            notify_listener: opened_in_advance(&self.request.location.container())?,
            preserve_fds: 0,
            container: Some(self.container),
            user_ns_config: None,
            cgroup_config: self.cgroup,
            detached: true,
            executor: Box::new(Executor::exec(code, gate.clone())),
            no_pivot: false,
            stdin: stream(0),
            stdout: stream(1),
            stderr: stream(2),
            as_sibling: true,
            pid_file: None,
        };
        let pid = container_main_process(&args).context("cannot start the process")?;
        let created = match terminal {
            Some(_) => vec![console::receive(&console, self.user)?],
            None => outputs,
        };
        let pid = pid.as_raw();
        hand_over(pid, &created)?;
        gate.open()?;
        Ok(pid)
    }
}

/// Creates libcontainer's gate for the new process and opens it. Removes the gate's name before the process exists.
fn opened_in_advance(directory: &Path) -> Result<NotifyListener> {
    let path = directory.join(format!("exec-{}", std::process::id()));
    let listener = NotifyListener::new(&path).context("cannot create libcontainer's gate");
    let opened = listener.and_then(|listener| {
        let opened = NotifySocket::new(path.clone()).notify_container_start();
        opened.context("cannot open libcontainer's gate")?;
        Ok(listener)
    });
    let _ = std::fs::remove_file(&path);
    opened
}
