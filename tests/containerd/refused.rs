//! Unsupported settings: the runtime refuses them by name instead of ignoring them.

use crate::container::Container;
use crate::images;
use crate::node::Node;
use anyhow::{Result, ensure};
use std::path::Path;

/// Starts a container of this image with these flags, which must fail, and returns the error.
async fn refusal(node: &Node, image: &str, flags: &[&str]) -> Result<String> {
    let builder = Container::of(image).flags(flags);
    let builder = match image {
        images::NATIVE => builder.command(["/tools/true"]),
        _ => builder,
    };
    builder.refused(node).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_mapping_of_users_whose_ranges_overlap_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    let mappings = ["0:100000:1000", "999:300000:1000"];
    let builder = Container::native("true").in_user_namespace(&mappings);
    let error = builder.refused(&node).await?;
    ensure!(
        error.contains("cannot map the users of the container"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_profile_that_the_node_cannot_apply_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    for image in [images::HELLO, images::NATIVE] {
        // No node has this profile. The message is the shim's own if the kernel has no AppArmor.
        let error = refusal(&node, image, &["--apparmor-profile=strict"]).await?;
        ensure!(
            Path::new("/sys/module/apparmor").exists()
                || error.contains("cannot apply the AppArmor profile strict"),
            "{error}"
        );
    }
    Ok(())
}
