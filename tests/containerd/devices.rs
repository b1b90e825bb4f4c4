//! Devices of the node. A container has the capability to make their files, and cannot open them.

use crate::container::{Container, Runtime};
use crate::node::Node;
use anyhow::Result;

/// Opens the kernel's log for writing without writing to it, then a device that every container may use.
const SCRIPT: &str = "mknod /tmp/kmsg c 1 11 && (: > /tmp/kmsg) && echo kmsg; \
                      mknod /tmp/null c 1 3 && (: > /tmp/null) && echo null";

/// Returns the names of the devices that [`SCRIPT`] could open.
async fn opens(runtime: Runtime, flags: &[&str]) -> Result<String> {
    let node = Node::shared().await?;
    let container = Container::native(SCRIPT).runtime(runtime).flags(flags);
    let ended = container.spawn().await?.ended(&node).await?;
    Ok(ended.stdout.join(" "))
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_device_of_the_nodes_cannot_be_opened_which_proves_the_harness() -> Result<()>
{
    assert_eq!(opens(Runtime::Runc, &[]).await?, "null");
    assert_eq!(opens(Runtime::Runc, &["--privileged"]).await?, "kmsg null");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_device_of_the_nodes_cannot_be_opened() -> Result<()> {
    assert_eq!(opens(Runtime::Preopen, &[]).await?, "null");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_privileged_container_opens_devices() -> Result<()> {
    assert_eq!(
        opens(Runtime::Preopen, &["--privileged"]).await?,
        "kmsg null"
    );
    Ok(())
}
