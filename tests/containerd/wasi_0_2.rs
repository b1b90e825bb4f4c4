//! A WASI 0.2 component in a container: it answers more requests at once than it has instances, writes to its volume and
//! drains.

use crate::container::Container;
use crate::images::{self, USER};
use crate::node::Node;
use crate::volumes::volume;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use visits_tests::{artifacts, get};

const IMAGE: &str = "localhost/wasi-0-2:test";

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_of_wasi_0_2_answers_writes_and_drains() -> Result<()> {
    let files = "files = [{ source = \"persistent\", destination = \"/app/persistent\" }]";
    let wasm = images::read(&artifacts::sdk_wasm("rust-5")?)?;
    let image = images::component(IMAGE, &images::manifest(files), &wasm);
    let node = Node::shared().await?;
    images::import(&image.directory("/app/persistent", USER, USER, 0o755)).await?;
    let volume = volume()?;
    let builder = Container::of(IMAGE).volume(volume.path(), "/app/persistent");
    let container = builder.start(&node).await?;
    let replies = try_join_all((0..40).map(|_| get(container.address(), "/hello"))).await?;
    for reply in replies {
        ensure!(reply.text() == "hello from rust\n", "{reply:?}");
    }
    let reply = get(container.address(), "/write").await?;
    ensure!(reply.text() == "by rust\n", "{reply:?}");
    ensure!(std::fs::read_to_string(volume.path().join("written"))? == "by rust\n");
    let ended = container.stop(&node).await?;
    assert_eq!(ended.code, 0);
    container.remove().await
}
