//! One cluster's directory: everything that outlives a command is in it, and nothing outside of it does but the node's
//! own process and an empty cgroup.

use crate::families::Families;
use crate::network::Network;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The variable that names the directory.
const DIRECTORY: &str = "VISITS_CLUSTER_DIR";
/// The variable that names the network.
const NETWORK: &str = "VISITS_CLUSTER_NETWORK";
/// The variable that names the address families.
pub(crate) const FAMILIES: &str = "VISITS_CLUSTER_IP_FAMILIES";

/// The file with the network's number.
const NETWORK_FILE: &str = "network";
/// The file with the address families.
const FAMILIES_FILE: &str = "ip-families";

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
    /// Returns the one that the environment names: `VISITS_CLUSTER_DIR`, else `visits/cluster` in the user's directory for
    /// state; with the network that it has, else the one that is asked for.
    pub(crate) fn find(families: Option<Families>) -> Result<Self> {
        let directory = match std::env::var_os(DIRECTORY).filter(|value| !value.is_empty()) {
            Some(directory) => std::path::absolute(&directory)
                .with_context(|| format!("{DIRECTORY}={}", directory.display()))?,
            None => default_directory()?,
        };
        let kept_number: Option<Number> = kept(&directory, NETWORK_FILE)?;
        let kept_families = kept(&directory, FAMILIES_FILE)?;
        // A cluster that was made before there was a choice has IPv4.
        let kept_families = kept_families.or(kept_number.map(|_| Families::Ipv4));
        let number = chosen(&directory, NETWORK, kept_number, asked(NETWORK)?)?;
        let families = match families {
            Some(families) => Some(families),
            None => asked(FAMILIES)?,
        };
        let families = chosen(&directory, "--ip-families", kept_families, families)?;
        let network = Network::new(
            number.unwrap_or_default().0,
            families.unwrap_or_else(Families::of_machine),
        );
        Ok(Self { directory, network })
    }

    /// Returns the one that the node is of that this process is in.
    pub(crate) fn inside() -> Result<Self> {
        let directory = PathBuf::from(crate::root::STATE);
        let number: Option<Number> = kept(&directory, NETWORK_FILE)?;
        let families = kept(&directory, FAMILIES_FILE)?;
        let (Some(number), Some(families)) = (number, families) else {
            bail!("{} holds no cluster", directory.display());
        };
        let network = Network::new(number.0, families);
        Ok(Self { directory, network })
    }

    /// Makes the directory, and notes the network in it.
    pub(crate) fn make(&self) -> Result<()> {
        for directory in [self.pki(), self.logs()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("make {}", directory.display()))?;
        }
        for (name, value) in [
            (NETWORK_FILE, self.network.to_string()),
            (FAMILIES_FILE, self.network.families.to_string()),
        ] {
            let file = self.path(name);
            fs::write(&file, value).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
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
        const OURS: [&str; 12] = [
            NETWORK_FILE,
            FAMILIES_FILE,
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

/// The number of a network. 0 unless another one is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Number(u8);

/// A property that a cluster keeps until it is taken down.
trait Property: Copy + PartialEq + std::fmt::Display {
    fn parse(text: &str) -> Result<Self>;
}

impl Property for Number {
    fn parse(text: &str) -> Result<Self> {
        Network::parse(text).map(Self)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Property for Families {
    fn parse(text: &str) -> Result<Self> {
        let families = Self::from_str(text, false).ok();
        families.context("address families are ipv4, dual or ipv6")
    }
}

/// Returns what a variable asks for.
fn asked<T: Property>(variable: &str) -> Result<Option<T>> {
    match std::env::var(variable) {
        Ok(text) => T::parse(&text)
            .map(Some)
            .with_context(|| format!("{variable}={text}")),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context(variable.to_owned()),
    }
}

/// Returns what the cluster in a directory has.
fn kept<T: Property>(directory: &Path, name: &str) -> Result<Option<T>> {
    let file = directory.join(name);
    match fs::read_to_string(&file) {
        Ok(text) => T::parse(text.trim())
            .map(Some)
            .with_context(|| file.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

/// Returns what the cluster has, else what is asked for. Fails if they differ.
fn chosen<T: Property>(
    directory: &Path,
    option: &str,
    kept: Option<T>,
    asked: Option<T>,
) -> Result<Option<T>> {
    if let (Some(asked), Some(kept)) = (asked, kept)
        && asked != kept
    {
        bail!(
            "{option} is {asked}, but the cluster in {} has {kept}: take that cluster down first",
            directory.display()
        );
    }
    Ok(kept.or(asked))
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
