//! The kinds of containers that an exec is tried in.

use super::{Container, Runtime};
use crate::images;
use crate::node::Node;
use anyhow::Result;

/// Who runs a container, and what it runs. In each there are the programs `cat`, `echo`, `false`, `sleep` and `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program under runc: the yardstick.
    Runc,
    /// A program under the shim.
    Native,
    /// A component under the shim: the programs are those of its toolbox.
    Wasm,
}

impl Kind {
    /// The yardstick first: what fails in it is wrong with the test.
    pub(crate) const ALL: [Kind; 3] = [Kind::Runc, Kind::Native, Kind::Wasm];

    /// A container of this kind that runs.
    pub(crate) async fn start(self, node: &Node) -> Result<Container> {
        let native = Container::native("exec sleep 1000");
        let container = match self {
            Kind::Runc => native.runtime(Runtime::Runc).spawn().await?,
            Kind::Native => native.spawn().await?,
            Kind::Wasm => Container::of(images::COMMANDS).start(node).await?,
        };
        container.runs().await?;
        Ok(container)
    }
}
