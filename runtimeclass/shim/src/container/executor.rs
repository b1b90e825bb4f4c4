//! The work of a container's process once it is isolated: become the native program, serve the component, or run a WASI
//! command.
//!
//! A container serves a component if its first argument names a manifest, a file ending in `.toml`. Every other argument is
//! a native program. The program of an added process is found before the process exists (see `super::code::program`).
//!
//! libcontainer calls [`Executor::validate`] and [`Executor::setup_envs`] while it creates the process, and
//! [`Executor::exec`] when the process is started.

use super::bundle::spec;
use super::gate::Gate;
use super::isolation::{label, syscalls};
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{Process, Spec};
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{
    self, Executor as _, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use preopen_host::cache::Entry;
use preopen_host::cli;
use preopen_host::command::{Command, Invocation};
use preopen_host::engine::Engine;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

/// The exit code of a process that cannot do its work.
const FAILED: i32 = 1;

/// The exit code of an added process whose program cannot be executed. Shells report the same.
const CANNOT_RUN: i32 = 126;

/// The executor of one process. Clones share its workload.
#[derive(Clone)]
pub(super) struct Executor {
    workload: Rc<Workload>,
}

/// The kind of the process.
enum Workload {
    /// The container's first process.
    Init {
        container: cli::Container,
        /// The create lock. The container's process holds it too, until it is in its cgroup.
        lock: RefCell<Option<File>>,
    },
    /// A process that was added.
    Exec {
        /// The code that the process runs, if that is WebAssembly.
        code: Option<RefCell<Option<Entry>>>,
        gate: Rc<Gate>,
    },
}

impl Executor {
    /// Returns the executor of a container's first process.
    pub(super) fn init(container: cli::Container, lock: File) -> Self {
        let lock = RefCell::new(Some(lock));
        Self::of(Workload::Init { container, lock })
    }

    /// Returns the executor of an added process, which waits at the gate when it is started.
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
    /// Checks the program, inside the container and as its user. An error is the reason why the create fails.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        if let Workload::Exec { gate, .. } = &*self.workload {
            gate.give_up();
            return Ok(());
        }
        if spec::manifest(spec).is_some() {
            // The host checks the manifest and its components, and reports errors to the container's log.
            return Ok(());
        }
        check_program(spec).map_err(ExecutorValidationError::ArgValidationError)
    }

    /// Replaces the environment by the container's.
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
        if let Workload::Init { lock, .. } = &*self.workload {
            // This process is in its cgroup now, so a clean-up finds it there.
            drop(lock.take());
        }
        Ok(())
    }

    /// Does the process's work and exits. Never returns into libcontainer.
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        std::process::exit(match &*self.workload {
            Workload::Init { container, .. } if spec::manifest(spec).is_some() => {
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

/// Becomes a native program. Returns the exit code `failed` if that is not possible.
fn execute(spec: &Spec, failed: i32) -> i32 {
    restore_signals();
    restore_huge_pages();
    if let Some(process) = spec.process()
        && let Err(error) = label::at_execve(process)
    {
        return report(&error);
    }
    if let Err(error) = (DefaultExecutor {}).exec(spec) {
        let program = spec::arguments(spec).first().map_or("", String::as_str);
        eprintln!("error: cannot execute {program}: {error}");
    }
    failed
}

fn report(error: &anyhow::Error) -> i32 {
    eprintln!("error: {error:#}");
    FAILED
}

/// Serves the components. Returns the exit code.
fn serve(container: &cli::Container, spec: &Spec) -> i32 {
    if let Err(error) = restrict(spec, container.descriptors()) {
        return report(&error);
    }
    let arguments = spec::arguments(spec);
    on_a_thread(crate::NAME, || {
        i32::from(cli::main_in(container, arguments))
    })
}

/// Runs a WASI command. Returns its exit code.
fn run(code: Option<Entry>, spec: &Spec) -> i32 {
    restore_signals();
    if let Err(error) = restrict(spec, code.iter().map(Entry::descriptor).collect()) {
        return report(&error);
    }
    let arguments = spec::arguments(spec);
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment = std::env::vars_os().filter_map(text).collect();
    let invocation = Invocation::new(arguments.to_owned(), environment);
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

/// Maps the code and closes its descriptor.
fn map(code: Option<Entry>) -> Result<Command> {
    let code = code.context("the command has no code")?;
    Ok(Command::map(&Engine::new()?, &code)?)
}

/// Restricts this process, which executes no program: closes the descriptors that an `execve` would close, applies the
/// labels, and allows only the system calls that WebAssembly needs. Its capabilities are already gone
/// (see `super::bundle::capabilities`).
fn restrict(spec: &Spec, code: Vec<RawFd>) -> Result<()> {
    close_inherited(code);
    if let Some(process) = spec.process() {
        label::now(process)?;
    }
    if let Err(error) = syscalls::allow(&syscalls::GUEST) {
        // The pod's own filter is in force, and may forbid to add another.
        eprintln!("warning: system calls are restricted by the pod's own filter only: {error:#}");
    }
    return_freed_memory();
    Ok(())
}

/// Returns memory to the kernel that the C library has freed but keeps. libseccomp builds the filters in about 1 MiB, which
/// each container would hold as long as it runs. Rust code has another allocator.
fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does the work on a thread of its own, because this thread has the small stack that libcontainer forked it with. The
/// process list shows `name`.
fn on_a_thread(name: &str, work: impl FnOnce() -> i32 + Send) -> i32 {
    if let Ok(name) = CString::new(name) {
        // If this fails, the process list shows libcontainer's name.
        let _ = rustix::thread::set_name(&name);
    }
    std::thread::scope(|scope| {
        let worked = std::thread::Builder::new()
            .name("main".into())
            .spawn_scoped(scope, work);
        match worked.map(|thread| thread.join()) {
            Ok(Ok(code)) => code,
            // The panic has already written its message to standard error.
            Ok(Err(_)) => FAILED,
            Err(error) => {
                eprintln!("error: cannot start a thread: {error}");
                FAILED
            }
        }
    })
}

/// Closes all descriptors except the standard streams and `kept`: pipes and sockets of the fork. A native program loses them
/// when it is executed, but this process executes none (docs/upstream/host-procfs.md).
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
    // SAFETY: takes numbers, no memory. The owners of these descriptors are libcontainer's values further down the stack.
    // They are never used again, and never dropped because the process exits.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// Restores the default actions of the signals that this process ignores, because a program would inherit them. Rust
/// programs ignore SIGPIPE, so `yes | head` would not end. glibc ignores its two internal signals (32 and 33) in a process
/// that `posix_spawn` created, such as the helper. And a containerd that ignores SIGHUP passes that on to all of these.
fn restore_signals() {
    const SIGNALS: std::ops::RangeInclusive<libc::c_int> = 1..=64;
    for signal in SIGNALS {
        // The kernel's `struct sigaction`, all zeros: the default action, no flags, an empty mask.
        let default = [0u64; 4];
        let mut current = default;
        // SAFETY: reads an action, and sets the default one, not a handler, in a process with one thread. Both are as large
        // as the kernel's structure, and 8 is the size of its mask. (libc's `signal` refuses glibc's internal signals.)
        unsafe {
            let none = std::ptr::null::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, none, &mut current, 8);
            if current[0] == libc::SIG_IGN as u64 {
                libc::syscall(libc::SYS_rt_sigaction, signal, &default, none, 8);
            }
        }
    }
}

/// Turns huge pages on again, which the allocator has turned off.
fn restore_huge_pages() {
    // An error means that the kernel has no such setting, so there is nothing to restore.
    let _ = rustix::thread::disable_transparent_huge_pages(false);
}

/// Checks that the container's program exists and may be executed. The errors are similar to those of other runtimes.
fn check_program(spec: &Spec) -> Result<(), String> {
    const HINT: &str = "to run a component, give the path of its spin.toml";
    let process = spec.process().as_ref();
    let process: &Process = process.ok_or("the container has no process")?;
    let program = spec::arguments(spec)
        .first()
        .ok_or("the container has no command")?;
    let paths = spec::program_paths(process, program);
    // A file that is named by its path is reported below if it is not a regular one.
    let exists = |path: &&PathBuf| match program.contains('/') {
        true => path.exists(),
        false => path.is_file(),
    };
    let Some(found) = paths.iter().find(exists) else {
        let path = spec::search_path(process);
        return Err(format!(
            "{program}: no such program in the container (PATH={path}); {HINT}"
        ));
    };
    let executable = found
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    match executable {
        true => Ok(()),
        false => Err(format!(
            "{}: not an executable file; {HINT}",
            found.display()
        )),
    }
}
