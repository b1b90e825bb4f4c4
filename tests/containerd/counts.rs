//! The counter in a container without a volume.

use crate::container::Container;
use crate::images;
use crate::node::Node;
use anyhow::Result;
use visits_tests::load::{self, assert_exactly};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_container_counts_every_visit_that_reaches_its_network() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::VISITS).start(&node).await?;
    let numbers = load::visits(container.address(), 16, 100).await?;
    assert_exactly(numbers, 1, 1600);
    assert_eq!(container.stop(&node).await?.code, 0);
    container.remove().await
}
