//! `cargo xtask cluster`: builds a Kubernetes of one node with the counter on it, and runs the cluster tool,
//! `visits-cluster` (see cluster/). Only `up` builds. Every other command is for a cluster that exists.

use crate::setup::{self, CLUSTER};
use crate::{cargo, command, go, image, toolbox, workspace};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use visits_support::environment::{self, Environment};
use visits_support::process::is_root;

/// The remedy if something is not built.
const REMEDY: &str = "run `make cluster` first";

/// The options of `cluster`.
#[derive(clap::Args)]
#[command(
    override_usage = "cargo xtask cluster COMMAND [ARGS]",
    after_help = "Commands:
  up [--empty] [--ip-families ipv4|dual|ipv6] [--default-runtime runc|preopen]
                      build everything and start the cluster, with the counter on it
  down                stop the cluster and remove everything that belongs to it, including its volumes
  stop, start         kill everything that runs on the node; start it again
  restart PROGRAM     restart kubelet, containerd or another program of the node
  import FILE         import the images of an archive into the node
  kubectl -- ARGS     run kubectl as the cluster's administrator
  node -- COMMAND     run a command on the node, as root
  kubeconfig          print the kubeconfig's path

Environment:
  VISITS_CLUSTER_DIR      the cluster's directory (default: ~/.local/state/visits/cluster)
  VISITS_CLUSTER_NETWORK  the cluster's number N, 0 to 255, which decides its addresses: 198.18.N.0/24 and
                          fd00:198:18:N::/64 (default: 0)
  VISITS_CLUSTER_IP_FAMILIES
                          the address families of nodes, pods and Services, as --ip-families (default: dual)
  KUBERNETES_BIN_DIR      a directory with kube-apiserver, kubelet, kubectl, etcd and so on, to use instead of building
                          them
  NODE_BIN_DIR            a directory with containerd, runc and the CNI plugins ptp, host-local and loopback, likewise"
)]
pub(crate) struct Options {
    /// The arguments of `visits-cluster`, such as `up`
    #[arg(
        required = true,
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Builds what `up` needs, and replaces this process with the cluster tool, so that its exit code becomes this one's.
pub(crate) fn run(options: &Options) -> Result<()> {
    let command = options.arguments.first().and_then(|first| first.to_str());
    let cluster = match command {
        Some("up") => {
            if let Some(missing) = missing() {
                bail!("a cluster cannot run here: {missing}");
            }
            CLUSTER.prepare()?;
            Cluster::build()?
        }
        // These need no program of the node, and must work after the programs' versions have changed.
        Some("down" | "stop" | "kubeconfig") => Cluster::tool_alone()?,
        _ => Cluster::find()?,
    };
    let mut program = cluster.command();
    let error = program.args(&options.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", cluster.tool.display()))
}

/// Returns why a cluster cannot run here, if so. Missing packages that can be installed are no reason.
pub(crate) fn missing() -> Option<String> {
    if !is_root() {
        return Some("its node needs root on Linux".into());
    }
    go::KUBERNETES.missing().or_else(|| CLUSTER.unavailable())
}

/// The cluster tool, and the environment that names everything a cluster consists of.
#[derive(Clone)]
pub(crate) struct Cluster {
    tool: PathBuf,
    environment: Environment,
}

impl Cluster {
    /// Builds what is not up to date.
    pub(crate) fn build() -> Result<Self> {
        eprintln!("==> the toolbox");
        toolbox::run()?;
        eprintln!("==> the shim, visits-image and visits-cluster");
        command::run(cargo::programs(&[
            "containerd-shim-preopen-v1",
            image::PROGRAM,
            "visits-cluster",
        ])?)?;
        eprintln!("==> the counter's image");
        image::pack(&workspace::images()?)?;
        eprintln!("==> the node, Kubernetes and its add-ons");
        Self::new([
            go::NODE.build()?,
            go::KUBERNETES.build()?,
            go::ADDONS.build()?,
        ])
    }

    /// Finds what an earlier run has built.
    pub(crate) fn find() -> Result<Self> {
        let built = |group: go::Group| {
            let directory = group.built()?;
            directory.with_context(|| format!("{} are not built: {REMEDY}", group.what()))
        };
        let cluster = Self::new([built(go::NODE)?, built(go::KUBERNETES)?, built(go::ADDONS)?])?;
        if let Some((_, path)) = cluster.environment.missing().first() {
            bail!("{} does not exist: {REMEDY}", path.display());
        }
        Ok(cluster)
    }

    /// Returns the tool without the environment, after building it if it does not exist, which takes seconds.
    fn tool_alone() -> Result<Self> {
        let tool = workspace::cluster()?;
        if !tool.exists() {
            command::run(cargo::programs(&["visits-cluster"])?)?;
        }
        Ok(Self {
            tool,
            environment: Environment::default(),
        })
    }

    fn new([node, kubernetes, addons]: [PathBuf; 3]) -> Result<Self> {
        let busybox = setup::busybox()
            .with_context(|| format!("static busybox is not installed: {}", CLUSTER.by_hand()))?;
        let tool = workspace::cluster()?;
        let mut environment = Environment::default();
        environment.set(environment::CLUSTER_TOOL, &tool);
        environment.set(environment::KUBECTL, kubernetes.join("kubectl"));
        environment.set(environment::NODE_PROGRAMS, node);
        environment.set(environment::KUBERNETES_PROGRAMS, kubernetes);
        environment.set(environment::ADDONS, addons);
        environment.set(environment::SHIM, workspace::shim()?);
        environment.set(environment::BUSYBOX, busybox);
        environment.set(
            environment::COUNTER_IMAGE,
            workspace::images()?.join("visits-oci.tar"),
        );
        Ok(Self { tool, environment })
    }

    /// Returns the tool as a command, with the environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.tool);
        self.environment.apply(&mut command);
        command
    }

    /// Returns the environment.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}
