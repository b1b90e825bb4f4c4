//! The commands of `visits-cluster`. `cargo xtask cluster` builds what they need and passes its arguments on to them.

use crate::binaries::NAMES;
use crate::families::Families;
use crate::node::Node;
use crate::paths::NODE;
use crate::runtime::Runtime;
use crate::state::State;
use crate::{apply, cgroup, images, inside, supervise, up};
use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use visits_support::process::{exit_code, is_root};

/// A real Kubernetes of one node, in namespaces of its own, with the visit counter on it.
#[derive(Parser)]
#[command(
    name = "cargo xtask cluster",
    bin_name = "cargo xtask cluster",
    after_help = "Environment:\n  VISITS_CLUSTER_DIR      the cluster's directory (default: ~/.local/state/visits/cluster)\n  \
                  VISITS_CLUSTER_NETWORK  the number N of its network, 0 to 255: 198.18.N.0/24 and fd00:198:18:N::/64 (default: 0)\n  \
                  VISITS_CLUSTER_IP_FAMILIES  like --ip-families: ipv4, dual or ipv6 (default: dual, or ipv4 if the kernel has no IPv6)"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the cluster up with the counter on it, or continue an interrupted `up`
    Up {
        /// Leave the counter out
        #[arg(long)]
        empty: bool,
        /// The address families of nodes, pods and Services [default: dual, or ipv4 if the kernel has no IPv6]
        #[arg(long, value_name = "FAMILIES")]
        ip_families: Option<Families>,
        /// The runtime of pods without a RuntimeClass [default: runc]
        #[arg(long, value_name = "RUNTIME")]
        default_runtime: Option<Runtime>,
    },
    /// End the cluster and remove everything that belongs to it, including its volumes
    Down,
    /// Kill all of the node's processes at once
    Stop,
    /// Start a stopped node
    Start,
    /// Restart one of the node's programs
    Restart {
        /// End it with SIGKILL, as a crash would
        #[arg(long)]
        kill: bool,
        /// The program's name
        #[arg(value_parser = NAMES)]
        program: String,
    },
    /// Import the images in an OCI or Docker archive into the node
    Import {
        /// The archive
        archive: PathBuf,
    },
    /// Run kubectl as the cluster's administrator
    Kubectl {
        /// kubectl's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run a command on the node, as root
    Node {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Print the path of the kubeconfig
    Kubeconfig,
    /// Run as the first process of the node
    #[command(hide = true)]
    Inside { state: PathBuf },
    /// Start and restart the node's programs
    #[command(hide = true)]
    Supervise,
}

/// Runs the command in this process's arguments.
pub fn run() -> ExitCode {
    exit_code(execute(Arguments::parse().command))
}

fn execute(command: Command) -> Result<()> {
    match &command {
        Command::Inside { state } => return inside::run(state),
        Command::Supervise => return supervise::run(),
        _ => {}
    }
    if !is_root() {
        bail!("a node needs root: run this command as root or with sudo");
    }
    let (families, runtime) = match &command {
        Command::Up {
            ip_families,
            default_runtime,
            ..
        } => (*ip_families, *default_runtime),
        _ => (None, None),
    };
    let state = State::find(families, runtime)?;
    match command {
        Command::Up { empty, .. } => {
            let _lock = state.lock()?;
            up::run(&state, empty)
        }
        Command::Down => down(&state),
        Command::Stop => {
            let _lock = state.lock()?;
            Node::running(&state)?.kill()
        }
        Command::Start => {
            if !state.exists() {
                Node::running(&state)?;
            }
            let _lock = state.lock()?;
            up::start(&state)
        }
        Command::Restart { kill, program } => Node::running(&state)?.restart(&program, kill),
        Command::Import { archive } => images::import_file(&Node::running(&state)?, &archive),
        Command::Kubectl { arguments } => {
            Node::running(&state)?;
            let error = apply::administrator_kubectl(&state)?.args(arguments).exec();
            Err(error).context("cannot run kubectl")
        }
        Command::Node { command } => {
            let (program, arguments) = command.split_first().context("a command is missing")?;
            let error = Node::running(&state)?
                .command(program)
                .args(arguments)
                .exec();
            Err(error)
                .with_context(|| format!("cannot run nsenter on {NODE} (is util-linux installed?)"))
        }
        Command::Kubeconfig => {
            println!("{}", state.kubeconfig().display());
            Ok(())
        }
        Command::Inside { .. } | Command::Supervise => Ok(()),
    }
}

/// Ends the node and removes everything that belongs to the cluster. A missing part counts as removed.
fn down(state: &State) -> Result<()> {
    if !state.directory().exists() {
        eprintln!("there is no cluster in {}", state.directory().display());
        return Ok(());
    }
    let lock = state.lock()?;
    if let Some(node) = Node::find(state)? {
        node.kill()?;
    }
    cgroup::remove(state.network)?;
    state.remove()?;
    drop(lock);
    eprintln!("removed {}", state.directory().display());
    Ok(())
}
