//! The machine of a run, and the versions of what ran on it.

use procfs::{CpuInfo, Current};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use visits_support::environment;

/// The machine, as far as it decides how fast a server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// The file system of the volumes.
    pub(crate) file_system: String,
}

impl Machine {
    /// Looks at this machine. What it does not show is "unknown".
    pub(crate) fn here() -> Self {
        Self {
            cpu: cpu().unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |release| release.trim().to_owned()),
            file_system: file_system(&std::env::temp_dir()).unwrap_or_else(unknown),
        }
    }

    /// Returns the machine in one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, Linux {}, {}",
            self.cpu, self.cores, self.kernel, self.file_system
        )
    }
}

/// The versions of everything that was measured or that measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// The commit of this repository, with `-dirty` at the end if files differ from it.
    pub(crate) commit: String,
    pub(crate) rustc: String,
    pub(crate) wasmtime: String,
    pub(crate) python: String,
    pub(crate) redis: String,
    pub(crate) oha: String,
}

impl Versions {
    /// Asks each program. One that is not here is "none".
    pub(crate) fn here() -> Self {
        let of = |variable: environment::Variable| {
            let path = variable.path().ok()?;
            first_line(Command::new(path).arg("--version"))
        };
        let none = || "none".to_owned();
        let describe = ["describe", "--always", "--dirty", "--exclude=*"];
        Self {
            commit: first_line(Command::new("git").args(describe)).unwrap_or_else(none),
            rustc: first_line(Command::new("rustc").arg("--version")).unwrap_or_else(none),
            wasmtime: of(environment::WASMTIME).unwrap_or_else(none),
            python: first_line(Command::new("/usr/bin/python3").arg("--version"))
                .unwrap_or_else(none),
            redis: first_line(Command::new("redis-server").arg("--version")).unwrap_or_else(none),
            oha: of(environment::OHA).unwrap_or_else(none),
        }
    }
}

fn unknown() -> String {
    "unknown".into()
}

fn cpu() -> Option<String> {
    let info = CpuInfo::current().ok()?;
    Some(info.model_name(0)?.to_owned())
}

/// Returns the file system that a directory lies on: the mount whose path is the longest above it.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = procfs::process::Process::myself().ok()?.mountinfo().ok()?;
    let above = mounts
        .0
        .into_iter()
        .filter(|mount| directory.starts_with(&mount.mount_point));
    // Of two mounts on one path, the later one is seen.
    let mount = above.max_by_key(|mount| mount.mount_point.as_os_str().len())?;
    Some(mount.fs_type)
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_above_a_directory_is_its_file_system() {
        assert_eq!(
            file_system(Path::new("/proc/self")).as_deref(),
            Some("proc")
        );
        assert_eq!(file_system(Path::new("/no/such/directory")), None);
        let machine = Machine::here();
        assert!(machine.cores > 0);
        assert_ne!(machine.kernel, "unknown");
    }

    #[test]
    fn the_version_of_a_missing_program_is_none() {
        assert_eq!(first_line(&mut Command::new("/no/such/program")), None);
        assert_eq!(
            first_line(Command::new("echo").arg("1.0")).as_deref(),
            Some("1.0")
        );
        assert_eq!(first_line(&mut Command::new("false")), None);
    }
}
