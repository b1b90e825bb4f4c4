//! `cargo xtask cluster`: builds a Kubernetes of one node with the counter on it, and runs `visits-cluster`, which keeps
//! it (see cluster/). Only `up` builds: every other command is for a cluster that is there, and takes no longer than
//! what it does.

use crate::setup::{self, CLUSTER};
use crate::{cargo, command, go, image, toolbox, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a user types to have everything built.
const REMEDY: &str = "run `make cluster` first";

/// What `cluster` takes.
#[derive(clap::Args)]
#[command(
    override_usage = "cargo xtask cluster COMMAND [ARGS]",
    after_help = "Commands:
  up [--empty] [--ip-families ipv4|dual|ipv6]
                      build everything and bring the cluster up, with the counter on it
  down                end it and remove all that it has left, its volumes too
  stop, start         kill all that runs on the node; start it again
  restart PROGRAM     restart kubelet, containerd or another program of the node
  import FILE         give the images in an archive to the node
  kubectl -- ARGS     run kubectl as the cluster's administrator
  node -- COMMAND     run a command on the node, as root
  kubeconfig          print the kubeconfig's path

Environment:
  VISITS_CLUSTER_DIR      where the cluster is kept (default: ~/.local/state/visits/cluster)
  VISITS_CLUSTER_NETWORK  its number N, 0 to 255: its addresses are 198.18.N.0/24 and fd00:198:18:N::/64 (default: 0)
  VISITS_CLUSTER_IP_FAMILIES
                          as --ip-families: the address families of nodes, pods and Services (default: dual)
  KUBERNETES_BIN_DIR      kube-apiserver, kubelet, kubectl, etcd and so on, of another version, instead of building them
  NODE_BIN_DIR            likewise containerd, runc and the CNI plugins ptp, host-local and loopback"
)]
pub(crate) struct Options {
    /// What `visits-cluster` gets, such as `up`
    #[arg(
        required = true,
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Builds what `up` needs, and replaces this process with the program, whose exit code is then this one's.
pub(crate) fn run(options: &Options) -> Result<()> {
    let command = options.arguments.first().and_then(|first| first.to_str());
    let cluster = match command {
        Some("up") => {
            if let Some(missing) = missing() {
                bail!("a cluster cannot be brought up here: {missing}");
            }
            Cluster::build()?
        }
        // These need nothing of what the node is made of, which may by now be of another version.
        Some("down" | "stop" | "kubeconfig") => Cluster::program_alone()?,
        _ => Cluster::find()?,
    };
    let mut program = cluster.command();
    let error = program.args(&options.arguments).exec();
    Err(error).with_context(|| format!("start {}", cluster.program.display()))
}

/// Why there can be no cluster here, if so, after installing what can be installed.
pub(crate) fn missing() -> Option<String> {
    if !workspace::is_root() {
        return Some("its node needs root on Linux".into());
    }
    go::KUBERNETES
        .missing()
        .or_else(|| CLUSTER.prepare().err().map(|error| format!("{error:#}")))
}

/// The program that keeps a cluster, and what it makes one of.
#[derive(Clone)]
pub(crate) struct Cluster {
    program: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Cluster {
    /// Builds what is not up to date.
    pub(crate) fn build() -> Result<Self> {
        eprintln!("==> the toolbox");
        toolbox::run()?;
        eprintln!("==> the programs: the shim, visits-image, visits-cluster");
        let mut build = cargo::shim()?;
        build.args(["--bin", "visits-image", "--bin", "visits-cluster"]);
        command::run(build)?;
        eprintln!("==> the counter's image");
        image::pack(&workspace::images()?)?;
        eprintln!("==> the node, Kubernetes and its add-ons");
        Self::new([
            go::NODE.build()?,
            go::KUBERNETES.build()?,
            go::ADDONS.build()?,
        ])
    }

    /// What is built already.
    fn find() -> Result<Self> {
        let built = |group: go::Group| {
            let directory = group.built()?;
            directory.with_context(|| format!("{} is not built: {REMEDY}", group.what()))
        };
        let cluster = Self::new([built(go::NODE)?, built(go::KUBERNETES)?, built(go::ADDONS)?])?;
        let paths = cluster.variables.iter().map(|(_, path)| path);
        for path in paths.chain([&cluster.program]) {
            ensure!(path.exists(), "there is no {}: {REMEDY}", path.display());
        }
        Ok(cluster)
    }

    /// The program alone, which takes seconds to build where it is missing.
    fn program_alone() -> Result<Self> {
        let program = workspace::cluster()?;
        if !program.exists() {
            let mut build = cargo::native("build")?;
            build.args(["--bin", "visits-cluster"]);
            command::run(build)?;
        }
        Ok(Self {
            program,
            variables: Vec::new(),
        })
    }

    fn new([node, kubernetes, addons]: [PathBuf; 3]) -> Result<Self> {
        let busybox = setup::busybox().context("there is no static busybox")?;
        Ok(Self {
            program: workspace::cluster()?,
            variables: vec![
                ("KUBECTL_BIN", kubernetes.join("kubectl")),
                ("NODE_BIN_DIR", node),
                ("KUBERNETES_BIN_DIR", kubernetes),
                ("ADDONS_BIN_DIR", addons),
                ("SHIM_BIN", workspace::shim()?),
                ("BUSYBOX_BIN", busybox),
                ("VISITS_IMAGE", workspace::images()?.join("visits-oci.tar")),
            ],
        })
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The program, with the environment that it needs.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.apply(&mut command);
        command
    }

    /// Gives that environment to a command.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().cloned());
    }
}
