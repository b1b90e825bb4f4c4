//! What a container's process does once it is isolated: become the native program, serve the component, or run a WASI
//! command.
//!
//! A container serves a component if its first argument names a manifest, a file ending in `.toml`; everything else is
//! a native program. What a second process runs is found before it is made (see `super::program`). libcontainer calls
//! [`Executor::validate`] and [`Executor::setup_envs`] before a process counts as made, and [`Executor::exec`] when it
//! is started.

use super::gate::Gate;
use super::prepare::absolute;
use super::program::DEFAULT_PATH;
use super::spec::serves;
use super::{label, syscalls};
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{
    self, Executor as _, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use preopen_host::cache::Entry;
use preopen_host::command::{Command, Invocation};
use preopen_host::{cli, engine};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The exit code of a process that cannot run what it should.
const FAILED: i32 = 1;

/// The exit code of a second process whose program could not be executed, as a shell reports it.
const CANNOT_RUN: i32 = 126;

/// Runs a container's process. Clones share what was mapped for it.
#[derive(Clone)]
pub(super) struct Executor {
    workload: Rc<Workload>,
}

/// Which process it runs.
enum Workload {
    /// The container's first.
    Init {
        container: cli::Container,
        /// Open in the container's process too, until that is made.
        making: RefCell<Option<File>>,
    },
    /// A second one.
    Exec {
        /// The code that it runs, if that is WebAssembly.
        code: Option<RefCell<Option<Entry>>>,
        gate: Rc<Gate>,
    },
}

impl Executor {
    /// Returns the executor of a container's first process.
    pub(super) fn init(container: cli::Container, making: File) -> Self {
        let making = RefCell::new(Some(making));
        Self::of(Workload::Init { container, making })
    }

    /// Returns the executor of a second process, which waits at the gate when it is started.
    pub(super) fn exec(code: Option<Entry>, gate: Rc<Gate>) -> Self {
        let code = code.map(|code| RefCell::new(Some(code)));
        Self::of(Workload::Exec { code, gate })
    }

    fn of(workload: Workload) -> Self {
        Self {
            workload: Rc::new(workload),
        }
    }
}

impl workload::Executor for Executor {
    /// Inside the container, as its user: what is wrong here is why it cannot be created.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        if let Workload::Exec { gate, .. } = &*self.workload {
            gate.give_up();
            return Ok(());
        }
        if manifest_of(spec).is_some() {
            // That the manifest and its component are there is for the host to look at: what it says goes to the
            // container's log.
            return Ok(());
        }
        check_program(spec).map_err(ExecutorValidationError::ArgValidationError)
    }

    /// The container's environment and nothing else.
    fn setup_envs(&self, variables: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
        for name in names {
            // SAFETY: this process has one thread.
            unsafe { std::env::remove_var(name) };
        }
        for (name, value) in variables {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
        if let Workload::Init { making, .. } = &*self.workload {
            // This process is where it belongs, and whoever cleans up will find it.
            drop(making.take());
        }
        Ok(())
    }

    /// Never returns into the process that was forked: it ends here, whatever happens.
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        std::process::exit(match &*self.workload {
            Workload::Init { container, .. } if manifest_of(spec).is_some() => {
                serve(container, spec)
            }
            Workload::Init { .. } => execute(spec, FAILED),
            Workload::Exec { code, gate } => match (gate.wait(), code) {
                (Err(error), _) => report(&error),
                (Ok(()), Some(code)) => run(code.take(), spec),
                (Ok(()), None) => execute(spec, CANNOT_RUN),
            },
        })
    }
}

/// Becomes a native program. Returns the exit code if that fails.
fn execute(spec: &Spec, failed: i32) -> i32 {
    restore_signals();
    restore_huge_pages();
    if let Some(process) = spec.process()
        && let Err(error) = label::at_execve(process)
    {
        return report(&error);
    }
    if let Err(error) = (DefaultExecutor {}).exec(spec) {
        let program = arguments(spec).first().map_or("", String::as_str);
        eprintln!("error: {program}: {error}");
    }
    failed
}

fn report(error: &anyhow::Error) -> i32 {
    eprintln!("error: {error:#}");
    FAILED
}

/// The manifest that a container's first argument names, as an absolute path inside of it.
pub(super) fn manifest_of(spec: &Spec) -> Option<PathBuf> {
    let first = arguments(spec).first()?;
    serves(first).then(|| absolute(spec, first))
}

fn arguments(spec: &Spec) -> &[String] {
    let process = spec.process().as_ref();
    process
        .and_then(|process| process.args().as_deref())
        .unwrap_or_default()
}

/// Serves the components. Returns the process's exit code.
fn serve(container: &cli::Container, spec: &Spec) -> i32 {
    if let Err(error) = confine(spec, container.descriptors()) {
        return report(&error);
    }
    let arguments = arguments(spec);
    on_a_thread("preopen", || i32::from(cli::main_in(container, arguments)))
}

/// Runs a WASI command. Returns its exit code.
fn run(code: Option<Entry>, spec: &Spec) -> i32 {
    restore_signals();
    if let Err(error) = confine(spec, code.iter().map(Entry::descriptor).collect()) {
        return report(&error);
    }
    let arguments = arguments(spec);
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let invocation = Invocation {
        arguments: arguments.to_owned(),
        environment: std::env::vars_os().filter_map(text).collect(),
    };
    let name = arguments.first().map_or("", String::as_str);
    let name = name.rsplit('/').next().unwrap_or(name);
    on_a_thread(name, || match map(code) {
        Ok(command) => command.run(&invocation),
        Err(error) => {
            report(&error.context(name.to_owned()));
            CANNOT_RUN
        }
    })
}

/// Maps the code, whose descriptor is closed then.
fn map(code: Option<Entry>) -> Result<Command> {
    let code = code.context("the command has no code")?;
    Command::map(&engine::engine()?, &code)
}

/// Takes from this process, which executes nothing, what executing a program would have taken, and what running
/// WebAssembly does not need. Capabilities are given up already: see `super::capabilities`.
fn confine(spec: &Spec, code: Vec<RawFd>) -> Result<()> {
    close_inherited(code);
    if let Some(process) = spec.process() {
        label::now(process)?;
    }
    if let Err(error) = syscalls::allow(&syscalls::GUEST) {
        // The pod's own filter is in force, and may forbid another.
        eprintln!("warning: only the pod's own filter restricts system calls: {error:#}");
    }
    Ok(())
}

/// Does the work on a thread of its own, because this one runs on the small stack that libcontainer forked it with.
/// The process list shows `name`.
fn on_a_thread(name: &str, work: impl FnOnce() -> i32 + Send) -> i32 {
    if let Ok(name) = CString::new(name) {
        // Else the process list shows libcontainer's name, which is no reason to fail.
        let _ = rustix::thread::set_name(&name);
    }
    std::thread::scope(|scope| {
        let worked = std::thread::Builder::new()
            .name("main".into())
            .spawn_scoped(scope, work);
        match worked.map(|thread| thread.join()) {
            Ok(Ok(code)) => code,
            // The panic has had its message on standard error already.
            Ok(Err(_)) => FAILED,
            Err(error) => {
                eprintln!("error: cannot start a thread: {error}");
                FAILED
            }
        }
    })
}

/// Closes what the process has open beside its standard streams and these descriptors: pipes and sockets of the fork. A
/// native program loses them when it is executed; this one is not
/// (docs/upstream/host-procfs.md).
fn close_inherited(mut kept: Vec<RawFd>) {
    kept.sort_unstable();
    let mut first = libc::STDERR_FILENO + 1;
    for descriptor in kept {
        if descriptor > first {
            close_range(first, (descriptor - 1).cast_unsigned());
        }
        first = first.max(descriptor + 1);
    }
    close_range(first, libc::c_uint::MAX);
}

fn close_range(first: RawFd, last: libc::c_uint) {
    // SAFETY: takes numbers, no memory. The values that own these descriptors, libcontainer's, are on the stack below and
    // never dropped, for the process exits; none is used again.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// Restores what a program would inherit from this one, were it not for this one's own needs: the default actions of
/// signals. Rust programs ignore SIGPIPE, so `yes | head` would not end. glibc ignores its two internal signals in a
/// process that `posix_spawn` makes, as the helper is one.
fn restore_signals() {
    for signal in [libc::SIGPIPE, 32, 33] {
        // The kernel's `struct sigaction`, all zeros: the default action, no flags, an empty mask.
        let default = [0u64; 4];
        // SAFETY: sets the default action, not a handler, in a process with one thread. `default` is as large as the
        // kernel's structure, and 8 is the size of its mask. (libc's `signal` refuses glibc's internal signals.)
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &default, 0, 8) };
    }
}

/// Lets the process have huge pages, which the allocator has turned off.
fn restore_huge_pages() {
    // SAFETY: takes numbers, no memory. Where the kernel does not know it there is nothing to restore.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 0, 0, 0, 0) };
}

/// Whether the container's program is there and may be executed, in words like those of other runtimes.
fn check_program(spec: &Spec) -> Result<(), String> {
    let program = arguments(spec)
        .first()
        .ok_or("the container has no command")?;
    let environment = spec
        .process()
        .as_ref()
        .and_then(|process| process.env().as_deref());
    let path = environment
        .unwrap_or_default()
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let found = if program.contains('/') {
        Some(absolute(spec, program)).filter(|file| file.exists())
    } else {
        path.split(':')
            .map(|directory| Path::new(directory).join(program))
            .find(|file| file.is_file())
    };
    let Some(found) = found else {
        return Err(format!(
            "{program}: no such program in the container (PATH={path}); a component is run by the path of its spin.toml"
        ));
    };
    let executable = found
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if executable {
        return Ok(());
    }
    Err(format!(
        "{}: not an executable file; a component is run by the path of its spin.toml",
        found.display()
    ))
}
