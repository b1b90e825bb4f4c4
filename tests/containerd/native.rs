//! Native containers: programs that are no wasm run as they would under runc.

use crate::container::{Container, Runtime};
use crate::node::Node;
use anyhow::Result;
use visits_tests::get;

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_native_container_answers_which_proves_the_harness() -> Result<()> {
    answers(Runtime::Runc).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_container_answers() -> Result<()> {
    answers(Runtime::Preopen).await
}

async fn answers(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let script = "echo native > /tmp/page && exec httpd -f -p 5000 -h /tmp";
    let container = Container::native(script)
        .runtime(runtime)
        .start(&node)
        .await?;
    let reply = get(container.address(), "/page").await?;
    assert_eq!(reply.text(), "native\n");
    container.signal("SIGKILL").await?;
    assert_eq!(container.ended(&node).await?.code, 137);
    container.remove().await
}
