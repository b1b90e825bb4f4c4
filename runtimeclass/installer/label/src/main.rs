//! `preopen-label`: tells Kubernetes that pods of the RuntimeClass may come to this node, or that none may come any more.
//!
//! It is a program of its own, and neither a part of the script `preopen-node` nor an image with kubectl, so that no
//! container has both: the one that may change the node's files holds no token, and the one that holds a token may
//! do nothing on the node. busybox' wget, which the image has, checks no certificate and cannot `PATCH`. Linked
//! statically it runs in an image with nothing else; `cargo xtask dist` builds it so.
//!
//! - [`api`]: one request of the Kubernetes API, with the pod's own token
//! - [`node`]: the node's label, whether kubelet knows the runtime, and whether the token can do no more than it should

mod api;
mod node;

use anyhow::Result;
use api::Api;
use clap::Parser;
use node::Node;
use std::process::ExitCode;

/// Set or remove the label preopen/shim of this node.
#[derive(Parser)]
#[command(name = "preopen-label", version)]
struct Arguments {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    /// The node
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
