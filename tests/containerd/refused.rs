//! What this runtime cannot do, it refuses by its name; it leaves nothing out in silence.

use crate::container::Container;
use crate::cri::{HANDLER, Pod};
use crate::images;
use crate::node::Node;
use anyhow::{Result, ensure};
use std::path::Path;

async fn refusal(node: &Node, image: &str, flags: &[&str]) -> Result<String> {
    let builder = Container::of(image);
    let builder = flags
        .iter()
        .fold(builder, |builder, flag| builder.flag(*flag));
    let builder = match image {
        images::NATIVE => builder.command(["/tools/true"]),
        _ => builder,
    };
    let container = builder.spawn().await?;
    let code = container.exited(node).await?;
    ensure!(code != 0, "{image} with {flags:?} was not refused");
    Ok(container.stderr().lines().concat())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_user_namespace_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    // That a pod of runc's can have one proves the harness.
    Pod::start_in_user_namespace(&node, "runc").await?;
    let refused = Pod::start_in_user_namespace(&node, HANDLER).await;
    let error = format!("{:#}", refused.expect_err("it is refused"));
    ensure!(error.contains("user namespaces"), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_profile_that_the_node_cannot_apply_is_refused() -> Result<()> {
    if Path::new("/sys/module/apparmor").exists() {
        // There it is applied.
        return Ok(());
    }
    let node = Node::shared().await?;
    for image in [images::HELLO, images::NATIVE] {
        let error = refusal(&node, image, &["--apparmor-profile=strict"]).await?;
        ensure!(
            error.contains("cannot apply the AppArmor profile strict"),
            "{error}"
        );
    }
    Ok(())
}
