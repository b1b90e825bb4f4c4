//! What a container's process does once it is isolated: become the native program, or serve the component.
//!
//! A container serves a component when its first argument names a manifest, a file ending in `.toml`; everything else
//! is a native program. libcontainer calls [`Executor::validate`] and [`Executor::setup_envs`] before the container counts
//! as created, and [`Executor::exec`] when it is started.

use super::prepare::absolute;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{self, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use preopen_host::cli;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The exit code of a process that cannot run what it should.
const FAILED: i32 = 1;

/// Runs a container's process. Clones share what was mapped for it.
#[derive(Clone)]
pub(super) struct Executor {
    container: Rc<cli::Container>,
    /// Open in the container's process too, until that is made.
    making: Rc<RefCell<Option<File>>>,
}

impl Executor {
    pub(super) fn new(container: cli::Container, making: File) -> Self {
        Self {
            container: Rc::new(container),
            making: Rc::new(RefCell::new(Some(making))),
        }
    }
}

impl workload::Executor for Executor {
    /// Inside the container, as its user: what is wrong here is why it cannot be created.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        if manifest_of(spec).is_some() {
            // That the manifest and its component are there is for the host to look at: what it says goes to the
            // container's log.
            return Ok(());
        }
        check_program(spec).map_err(ExecutorValidationError::ArgValidationError)
    }

    /// The container's environment and nothing else. `HOME` is the user's as the image knows it, unless it is given.
    fn setup_envs(
        &self,
        mut variables: HashMap<String, String>,
    ) -> Result<(), ExecutorSetEnvsError> {
        variables.entry("HOME".into()).or_insert_with(home);
        let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
        for name in names {
            // SAFETY: this process has one thread.
            unsafe { std::env::remove_var(name) };
        }
        for (name, value) in variables {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
        // This process is where it belongs, and whoever cleans up will find it.
        drop(self.making.take());
        Ok(())
    }

    /// Never returns into the process that was forked: it ends here, whatever happens.
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        if manifest_of(spec).is_some() {
            std::process::exit(serve(&self.container, arguments(spec)));
        }
        restore_inherited();
        let failed = DefaultExecutor {}.exec(spec);
        if let Err(error) = failed {
            eprintln!(
                "error: {}: {error}",
                arguments(spec).first().map_or("", String::as_str)
            );
        }
        std::process::exit(FAILED)
    }
}

/// The home directory of this process's user in the image's `/etc/passwd`, whose sixth field it is, or the root.
fn home() -> String {
    let user = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&user.as_str())).then(|| fields.get(5).copied())?
    });
    home.filter(|home| !home.is_empty())
        .unwrap_or("/")
        .to_owned()
}

/// The manifest that a container's first argument names, as an absolute path inside of it.
pub(super) fn manifest_of(spec: &Spec) -> Option<PathBuf> {
    let first = arguments(spec).first()?;
    first.ends_with(".toml").then(|| absolute(spec, first))
}

fn arguments(spec: &Spec) -> &[String] {
    let process = spec.process().as_ref();
    process
        .and_then(|process| process.args().as_deref())
        .unwrap_or_default()
}

/// Serves the component on a thread of its own, for this one runs on the small stack that libcontainer forked it
/// with. Returns the process's exit code.
fn serve(container: &Rc<cli::Container>, arguments: &[String]) -> i32 {
    close_inherited();
    // Where the process list would else show libcontainer's name; that it does is no reason to fail.
    let _ = rustix::thread::set_name(c"preopen");
    let arguments = arguments.to_owned();
    // Borrowed for a thread that is waited for; `Rc` itself cannot be sent.
    let container: &cli::Container = container;
    std::thread::scope(|scope| {
        let served = std::thread::Builder::new()
            .name("serve".into())
            .spawn_scoped(scope, move || cli::main_in(container, &arguments));
        match served.map(|thread| thread.join()) {
            Ok(Ok(code)) => i32::from(code),
            // The panic has had its message on standard error already.
            Ok(Err(_)) => FAILED,
            Err(error) => {
                eprintln!("error: start a thread: {error}");
                FAILED
            }
        }
    })
}

/// Closes what the process has open beside its standard streams: pipes and sockets of the fork. A native program loses
/// them when it is executed; this one is not.
fn close_inherited() {
    // SAFETY: takes numbers, no memory. The values that own these descriptors, libcontainer's and the mapped code's,
    // are on the stack below and never dropped, for the process exits; none is used again.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// What a program would inherit from this one: Rust programs ignore SIGPIPE, so `yes | head` would not end; and the
/// allocator has turned huge pages off for the process.
fn restore_inherited() {
    // SAFETY: sets the default action, not a handler, in a process with one thread.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
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
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
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
