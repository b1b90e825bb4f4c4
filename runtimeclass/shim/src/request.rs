//! What the shim's server asks of a process of its own, as JSON on its standard input: an environment or arguments
//! could be read by others and are bounded.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One request; the answer is a [`Response`] on standard output, or a non-zero exit code and the reason on standard
/// error.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Makes a container whose process waits to be started.
    Create(Box<Create>),
    /// Lets a container's process run.
    Start(Place),
    /// Runs a second process in a container.
    Exec(Box<Exec>),
    /// Changes the limits of a container.
    Update(Update),
    /// Ends what still runs of a container and removes what it left.
    Delete(Place),
}

impl Request {
    /// Returns the verb and the container's id, for logs and the process list.
    pub fn name(&self) -> (&'static str, &str) {
        match self {
            Self::Create(create) => ("create", &create.place.id),
            Self::Start(place) => ("start", &place.id),
            Self::Exec(exec) => ("exec", &exec.place.id),
            Self::Update(update) => ("update", &update.place.id),
            Self::Delete(place) => ("delete", &place.id),
        }
    }
}

/// What is answered to a [`Request`]. Descriptors come beside it, over the socket that the request was sent on: of a
/// process that was made its pidfd, then its terminal if it has one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Response {
    /// The id of the process that was made, if one was.
    pub pid: Option<i32>,
}

/// Where a container is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Its id.
    pub id: String,
    /// containerd's directory for it, with its `config.json`.
    pub bundle: PathBuf,
    /// The directory that libcontainer keeps its containers of this namespace in.
    pub state: PathBuf,
}

impl Place {
    /// The container `id` of a containerd namespace.
    pub fn new(namespace: &str, id: &str, bundle: &Path) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            state: Path::new("/run/containerd")
                .join(crate::NAME)
                .join(namespace),
        }
    }

    /// Where libcontainer keeps this container.
    pub fn container(&self) -> PathBuf {
        self.state.join(&self.id)
    }

    /// A file of eight bytes that holds the container's memory limit (see `container::memory_limit`).
    pub fn memory_limit(&self) -> PathBuf {
        self.bundle.join("memory-limit")
    }

    /// The socket on which a terminal of the container's first process is handed over.
    pub fn console(&self) -> PathBuf {
        self.bundle.join("console")
    }

    /// A file that is locked while the container is being made (see `container::making`).
    pub fn making(&self) -> PathBuf {
        self.bundle.join("making")
    }

    /// Where its root file system is mounted.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }
}

/// How a container is made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Create {
    /// Which container.
    pub place: Place,
    /// The mounts that make its root file system.
    pub rootfs: Vec<Mount>,
    /// Its standard streams: paths, empty for none.
    pub stdio: Stdio,
    /// Whether its standard streams are a terminal, which is then answered.
    pub terminal: bool,
    /// Whether systemd makes its cgroup.
    pub systemd_cgroup: bool,
    /// The node's directory of compiled code.
    pub cache: PathBuf,
}

/// A second process of a container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Which container.
    pub place: Place,
    /// The id of the container's first process.
    pub init: i32,
    /// The process as OCI's JSON.
    pub process: String,
    /// Its standard streams: paths, empty for none.
    pub stdio: Stdio,
    /// Whether its standard streams are a terminal, which is then answered.
    pub terminal: bool,
    /// The node's directory of compiled code.
    pub cache: PathBuf,
}

/// New limits of a container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Update {
    /// Which container.
    pub place: Place,
    /// The id of its first process.
    pub init: i32,
    /// The limits as OCI's JSON; what is left out stays.
    pub resources: String,
}

/// One mount, as containerd gives it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mount {
    /// The file system's type.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Options as in fstab.
    pub options: Vec<String>,
}

/// Standard streams: paths of named pipes, `file://` for files to append to, or nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stdio {
    /// Where input comes from.
    pub stdin: String,
    /// Where output goes.
    pub stdout: String,
    /// Where errors go.
    pub stderr: String,
}
