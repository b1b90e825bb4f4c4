//! The three kinds of containers in which an exec is tried.

use super::{Container, Runtime};
use crate::images;
use crate::node::Node;
use anyhow::Result;

/// A runtime and what it runs. Each has the programs `cat`, `echo`, `false`, `sleep` and `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A program under runc: the control.
    Runc,
    /// A program under the shim.
    Native,
    /// A component under the shim, whose toolbox has the programs.
    Wasm,
}

impl Workload {
    /// All of them, the control first: a test that fails under runc is wrong itself.
    pub(crate) const ALL: [Workload; 3] = [Workload::Runc, Workload::Native, Workload::Wasm];

    /// Starts a container with this workload and waits until it runs.
    pub(crate) async fn start(self, node: &Node) -> Result<Container> {
        match self {
            Workload::Runc => Container::sleeping(Runtime::Runc).spawn_running().await,
            Workload::Native => Container::sleeping(Runtime::Preopen).spawn_running().await,
            Workload::Wasm => {
                let container = Container::of(images::COMMANDS).start(node).await?;
                container.runs().await?;
                Ok(container)
            }
        }
    }
}
