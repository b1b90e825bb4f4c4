//! The messages between the shim's server and a helper: a process of its own that works on one container.
//!
//! They travel as JSON over the helper's standard streams, because other processes can read a process's arguments and
//! environment, and both are limited in size.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A request to a helper. The helper writes a [`HelperResponse`] to standard output, or exits with a code other than 0
/// and writes the reason to standard error.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HelperRequest {
    /// Creates a container whose process waits to be started.
    Create(Box<CreateRequest>),
    /// Starts a container's process.
    Start(Location),
    /// Adds a process to a container.
    Exec(Box<ExecRequest>),
    /// Changes the limits of a container.
    Update(UpdateRequest),
    /// Kills the container's processes and removes everything that it left.
    Delete(Location),
}

impl HelperRequest {
    /// Returns the verb and the container's id, for logs and the process list.
    pub(crate) fn name(&self) -> (&'static str, &str) {
        match self {
            Self::Create(create) => ("create", &create.location.id),
            Self::Start(location) => ("start", &location.id),
            Self::Exec(exec) => ("exec", &exec.location.id),
            Self::Update(update) => ("update", &update.location.id),
            Self::Delete(location) => ("delete", &location.id),
        }
    }
}

/// A helper's response. Descriptors come beside it, over the socket that the request was sent on: the pidfd of a process
/// that the helper created, then the process's terminal if it has one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct HelperResponse {
    /// The id of the process that the helper created.
    pub(crate) pid: Option<i32>,
}

/// A container's id and directories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Location {
    /// The container's id.
    pub(crate) id: String,
    /// containerd's directory of the container.
    pub(crate) bundle: PathBuf,
    /// The directory in which libcontainer keeps the containers of this containerd namespace.
    pub(crate) state: PathBuf,
}

impl Location {
    /// Returns the location of the container `id` in a containerd namespace.
    pub(crate) fn new(namespace: &str, id: &str, bundle: &Path) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            state: Path::new("/run/containerd")
                .join(crate::NAME)
                .join(namespace),
        }
    }

    /// Returns libcontainer's directory of this container.
    pub(crate) fn container(&self) -> PathBuf {
        self.state.join(&self.id)
    }

    /// Returns the container's specification.
    pub(crate) fn config(&self) -> PathBuf {
        self.bundle.join("config.json")
    }

    /// Returns the directory on which the container's root file system is mounted.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// Returns the file that holds the container's memory limit (see `container::resources::memory_limit`).
    pub(crate) fn memory_limit(&self) -> PathBuf {
        self.bundle.join("memory-limit")
    }

    /// Returns the directory on which an image's layers are mounted while their ids are mapped (see
    /// `container::users::layers`).
    pub(crate) fn layers(&self) -> PathBuf {
        self.bundle.join("layers")
    }

    /// Returns the directory of the copies of a container's volumes (see `container::users::volumes`).
    pub(crate) fn volumes(&self) -> PathBuf {
        self.bundle.join("volumes")
    }

    /// Returns the socket on which the terminal of the container's first process is handed over.
    pub(crate) fn console(&self) -> PathBuf {
        self.bundle.join("console")
    }

    /// Returns the file that is locked while the container is being created (see `container::create_lock`).
    pub(crate) fn create_lock(&self) -> PathBuf {
        self.bundle.join("create.lock")
    }
}

/// A request to create a container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateRequest {
    /// The container.
    pub(crate) location: Location,
    /// The mounts of its root file system.
    pub(crate) rootfs: Vec<Mount>,
    /// Its standard streams.
    pub(crate) stdio: Stdio,
    /// Whether its standard streams are a terminal, whose master side is then handed over.
    pub(crate) terminal: bool,
    /// Whether systemd creates its cgroup.
    pub(crate) systemd_cgroup: bool,
    /// The node's directory of compiled code.
    pub(crate) cache: PathBuf,
}

/// A request to add a process to a container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    /// The container.
    pub(crate) location: Location,
    /// The id of the container's first process.
    pub(crate) init: i32,
    /// The process as OCI's JSON.
    pub(crate) process: String,
    /// Its standard streams.
    pub(crate) stdio: Stdio,
    /// Whether its standard streams are a terminal, whose master side is then handed over.
    pub(crate) terminal: bool,
    /// The node's directory of compiled code.
    pub(crate) cache: PathBuf,
}

/// A request to change the limits of a container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UpdateRequest {
    /// The container.
    pub(crate) location: Location,
    /// The id of its first process.
    pub(crate) init: i32,
    /// The limits as OCI's JSON. Limits that are left out stay as they are.
    pub(crate) resources: String,
}

/// A mount, as containerd describes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// The type of the file system.
    pub(crate) kind: String,
    /// The device, directory or name that is mounted.
    pub(crate) source: String,
    /// Options as in fstab.
    pub(crate) options: Vec<String>,
}

/// Standard streams: paths of named pipes, `file://` and a path to append to, or empty for none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stdio {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}
