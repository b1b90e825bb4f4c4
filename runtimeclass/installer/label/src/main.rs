//! `preopen-label`: sets the label that sends pods of the RuntimeClass to this node, or removes it.
//!
//! It is separate from the script `preopen-node` so that no container has both powers: the one that may change the node's
//! files holds no token, and the one that holds a token cannot touch the node. The image's busybox cannot replace it: its
//! wget checks no certificate and cannot `PATCH`. An image with kubectl would be far larger. `cargo xtask dist` links this
//! program statically, so it runs in an image without a libc.
//!
//! - [`api`]: the Kubernetes API, called with the pod's own token
//! - [`node`]: the node's label, the runtimes that kubelet knows, and the policy that limits what the token can change

mod api;
mod node;

use anyhow::Result;
use api::Api;
use clap::Parser;
use node::Node;
use std::process::ExitCode;

/// Set or remove the label preopen/shim of this node
#[derive(Parser)]
#[command(name = "preopen-label", version)]
struct Arguments {
    /// The change to make
    #[arg(value_enum)]
    action: Action,
    /// The node's name
    #[arg(long, env = "NODE_NAME")]
    node: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Action {
    /// Wait until kubelet knows the runtime, then set the label
    Ready,
    /// Remove the label
    Remove,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let node = Node::new(Api::of_the_pod()?, &arguments.node);
    node.check_policy()?;
    match arguments.action {
        Action::Ready => {
            node.wait_for_runtime()?;
            node.label(Some(node::READY))
        }
        Action::Remove => node.label(None),
    }
}
