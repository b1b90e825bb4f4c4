//! One cluster's directory. It holds everything that outlives a command, except the node's process and an empty cgroup.

use crate::families::Families;
use crate::network::Network;
use crate::paths::STATE;
use crate::runtime::Runtime;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use visits_support::environment::{CLUSTER_DIRECTORY, CLUSTER_FAMILIES, CLUSTER_NETWORK, Variable};
use visits_support::xdg;

/// The file with the network's number.
const NETWORK_FILE: &str = "network";
/// The file with the address families.
const FAMILIES_FILE: &str = "ip-families";
/// The file with the default runtime's name.
const RUNTIME_FILE: &str = "default-runtime";

/// A cluster's directory, with or without a cluster in it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    directory: PathBuf,
    pub(crate) network: Network,
    pub(crate) runtime: Runtime,
}

/// The exclusive right to change the cluster. It ends on drop.
#[derive(Debug)]
pub(crate) struct Lock(
    #[expect(dead_code, reason = "the kernel holds the lock while the file is open")] File,
);

impl State {
    /// Returns the directory in `VISITS_CLUSTER_DIR`, or else `visits/cluster` in the user's state directory. Its network and
    /// its default runtime are the existing cluster's, or else the requested ones.
    pub(crate) fn find(families: Option<Families>, runtime: Option<Runtime>) -> Result<Self> {
        let directory = match CLUSTER_DIRECTORY.get() {
            Some(_) => CLUSTER_DIRECTORY.path()?,
            None => default_directory()?,
        };
        let kept_number: Option<Number> = kept(&directory, NETWORK_FILE)?;
        let kept_families = kept(&directory, FAMILIES_FILE)?;
        // A cluster from before there was a choice has IPv4 alone.
        let kept_families = kept_families.or(kept_number.map(|_| Families::Ipv4));
        let number = chosen(
            &directory,
            CLUSTER_NETWORK.name(),
            kept_number,
            requested(CLUSTER_NETWORK)?,
        )?;
        let families = match families {
            Some(families) => Some(families),
            None => requested(CLUSTER_FAMILIES)?,
        };
        let families = chosen(&directory, "--ip-families", kept_families, families)?;
        let network = Network::new(
            number.unwrap_or_default().0,
            families.unwrap_or_else(Families::of_machine),
        );
        let kept_runtime = kept(&directory, RUNTIME_FILE)?;
        // A cluster from before there was a choice has runc.
        let kept_runtime = kept_runtime.or(kept_number.map(|_| Runtime::Runc));
        let runtime = chosen(&directory, "--default-runtime", kept_runtime, runtime)?;
        Ok(Self {
            directory,
            network,
            runtime: runtime.unwrap_or_default(),
        })
    }

    /// Returns the directory of the cluster whose node this process runs on.
    pub(crate) fn inside() -> Result<Self> {
        let directory = PathBuf::from(STATE);
        let number: Option<Number> = kept(&directory, NETWORK_FILE)?;
        let families = kept(&directory, FAMILIES_FILE)?;
        let (Some(number), Some(families)) = (number, families) else {
            bail!("{} lacks the files of a cluster", directory.display());
        };
        Ok(Self {
            network: Network::new(number.0, families),
            runtime: kept(&directory, RUNTIME_FILE)?.unwrap_or_default(),
            directory,
        })
    }

    /// Creates the directory and records the network and the default runtime in it.
    pub(crate) fn make(&self) -> Result<()> {
        for directory in [self.pki(), self.logs()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        for (name, value) in [
            (NETWORK_FILE, self.network.to_string()),
            (FAMILIES_FILE, self.network.families.to_string()),
            (RUNTIME_FILE, self.runtime.to_string()),
        ] {
            let file = self.path(name);
            fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Takes the lock, after creating the directory if it is missing.
    pub(crate) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let path = self.path("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            bail!(
                "another command uses {} (wait for process {} to end)",
                self.directory.display(),
                holder.trim()
            );
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock(file))
    }

    /// Returns whether a cluster was created here and not yet taken down.
    pub(crate) fn exists(&self) -> bool {
        self.disk().exists()
    }

    /// Removes the directory. A directory that holds other files than a cluster's is refused.
    pub(crate) fn remove(&self) -> Result<()> {
        const OURS: [&str; 13] = [
            NETWORK_FILE,
            FAMILIES_FILE,
            RUNTIME_FILE,
            "lock",
            "kubeconfig",
            "pki",
            "log",
            "disk.img",
            // An interrupted `up` leaves it.
            "disk.partial",
            "kubectl",
            "mounts",
            "node.json",
            "addons",
        ];
        for entry in fs::read_dir(&self.directory)
            .with_context(|| format!("cannot read {}", self.directory.display()))?
        {
            let name = entry?.file_name();
            ensure!(
                OURS.iter().any(|ours| name == *ours),
                "{} holds {}, which is not part of a cluster (remove the directory yourself)",
                self.directory.display(),
                name.display()
            );
        }
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of the administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// Returns the directory of certificates, keys and the programs' own kubeconfigs.
    pub(crate) fn pki(&self) -> PathBuf {
        self.path("pki")
    }

    /// Returns the directory of the programs' logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path("log")
    }

    /// Returns the path of the node's disk.
    pub(crate) fn disk(&self) -> PathBuf {
        self.path("disk.img")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The number of a network; 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Number(u8);

/// A property that cannot change until the cluster is taken down.
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
        families.context("address families must be ipv4, dual or ipv6")
    }
}

impl Property for Runtime {
    fn parse(text: &str) -> Result<Self> {
        let runtime = Self::from_str(text, false).ok();
        runtime.context("the default runtime must be runc or preopen")
    }
}

/// Returns the value that a variable requests.
fn requested<T: Property>(variable: Variable) -> Result<Option<T>> {
    if variable.get().is_none() {
        return Ok(None);
    }
    let text = variable.text()?;
    let value = T::parse(&text).with_context(|| format!("{}={text}", variable.name()))?;
    Ok(Some(value))
}

/// Returns the value that the cluster in a directory has.
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

/// Returns the cluster's value, or else the requested one. Fails if they differ.
fn chosen<T: Property>(
    directory: &Path,
    option: &str,
    kept: Option<T>,
    requested: Option<T>,
) -> Result<Option<T>> {
    if let (Some(requested), Some(kept)) = (requested, kept)
        && requested != kept
    {
        bail!(
            "{option} is {requested}, but the cluster in {} has {kept} (take that cluster down first)",
            directory.display()
        );
    }
    Ok(kept.or(requested))
}

fn default_directory() -> Result<PathBuf> {
    let state = xdg::state_home().with_context(|| {
        let name = CLUSTER_DIRECTORY.name();
        format!("no directory for the cluster: {name}, XDG_STATE_HOME and HOME are not set")
    })?;
    Ok(state.join("visits/cluster"))
}
