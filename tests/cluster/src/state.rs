//! One cluster's directory: everything that outlives a command is in it, and nothing outside of it does but the node's
//! own process and an empty cgroup.

use crate::network::Network;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The variable that names the directory.
const DIRECTORY: &str = "VISITS_CLUSTER_DIR";
/// The variable that names the network.
const NETWORK: &str = "VISITS_CLUSTER_NETWORK";

/// A cluster's directory, whether or not there is a cluster in it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    directory: PathBuf,
    pub(crate) network: Network,
}

/// The right to change the cluster, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(
    #[expect(dead_code, reason = "the kernel's lock lasts as long as it is open")] File,
);

impl State {
    /// The one that the environment names: `VISITS_CLUSTER_DIR`, else `visits/cluster` in the user's directory for
    /// state; and the network that it has, else `VISITS_CLUSTER_NETWORK`, else 0.
    pub(crate) fn find() -> Result<Self> {
        let directory = match std::env::var_os(DIRECTORY).filter(|value| !value.is_empty()) {
            Some(directory) => std::path::absolute(&directory)
                .with_context(|| format!("{DIRECTORY}={}", directory.display()))?,
            None => default_directory()?,
        };
        let asked = match std::env::var(NETWORK) {
            Ok(number) => {
                Some(Network::parse(&number).with_context(|| format!("{NETWORK}={number}"))?)
            }
            Err(std::env::VarError::NotPresent) => None,
            Err(error) => return Err(error).context(NETWORK),
        };
        let file = directory.join("network");
        let kept = match fs::read_to_string(&file) {
            Ok(number) => {
                Some(Network::parse(number.trim()).with_context(|| file.display().to_string())?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let network = match (asked, kept) {
            (Some(asked), Some(kept)) if asked != kept => bail!(
                "{NETWORK}={asked}, but the cluster in {} has network {kept}: take that one down first",
                directory.display()
            ),
            (asked, kept) => kept.or(asked).unwrap_or_default(),
        };
        Ok(Self { directory, network })
    }

    /// The one that the node is of that this process is in.
    pub(crate) fn inside() -> Result<Self> {
        let directory = PathBuf::from(crate::root::STATE);
        let file = directory.join("network");
        let number = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let network = Network::parse(number.trim()).with_context(|| file.display().to_string())?;
        Ok(Self { directory, network })
    }

    /// Makes the directory, and notes the network in it.
    pub(crate) fn make(&self) -> Result<()> {
        for directory in [self.pki(), self.logs()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("make {}", directory.display()))?;
        }
        let file = self.path("network");
        fs::write(&file, self.network.to_string())
            .with_context(|| format!("write {}", file.display()))
    }

    /// Takes the lock. The directory is made for it where it is missing.
    pub(crate) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("make {}", self.directory.display()))?;
        let path = self.path("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            bail!(
                "another command is at work on {} (process {}): wait for it",
                self.directory.display(),
                holder.trim()
            );
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock(file))
    }

    /// Whether a cluster was made here and not yet taken down.
    pub(crate) fn exists(&self) -> bool {
        self.disk().exists()
    }

    /// Removes the directory. Only what a cluster has made: a directory with anything else in it is not one.
    pub(crate) fn remove(&self) -> Result<()> {
        const OURS: [&str; 11] = [
            "network",
            "lock",
            "kubeconfig",
            "pki",
            "log",
            "disk.img",
            // Of an `up` that was interrupted.
            "disk.partial",
            "kubectl",
            "mounts",
            "node.json",
            "addons",
        ];
        for entry in fs::read_dir(&self.directory)
            .with_context(|| format!("read {}", self.directory.display()))?
        {
            let name = entry?.file_name();
            ensure!(
                OURS.iter().any(|ours| name == *ours),
                "{} holds {}, which no cluster made: remove the directory yourself",
                self.directory.display(),
                name.display()
            );
        }
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("remove {}", self.directory.display()))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Access for `kubectl` and its like, as the cluster's administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// Certificates, keys and the programs' own kubeconfigs.
    pub(crate) fn pki(&self) -> PathBuf {
        self.path("pki")
    }

    /// What each of the node's programs logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path("log")
    }

    /// The node's disk.
    pub(crate) fn disk(&self) -> PathBuf {
        self.path("disk.img")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn default_directory() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Ok(state
        .with_context(|| {
            format!("none of {DIRECTORY}, XDG_STATE_HOME and HOME says where to keep the cluster")
        })?
        .join("visits/cluster"))
}
