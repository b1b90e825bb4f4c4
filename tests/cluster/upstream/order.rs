//! The order in which a StatefulSet's pods come and go.

use super::Set;
use crate::cluster::Cluster;
use crate::namespace::Namespace;
use crate::pods::Pod;
use anyhow::{Result, ensure};
use serde_json::Value;

/// StatefulSet, Basic StatefulSet functionality: "Scaling should happen in predictable order and halt if any stateful pod is
/// unhealthy".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn scaling_happens_in_order_and_halts_while_a_component_is_broken() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let set = Set::apply(namespace, 1, "OrderedReady", false).await?;
        Pod::ready(namespace, "ss-0").await?;
        set.set_broken(0, true).await?;
        set.scale(3).await?;
        set.check_halted(&[0]).await?;
        set.set_broken(0, false).await?;
        set.once_there_are(3, true).await?;
        set.rolled_out().await?;
        set.set_broken(0, true).await?;
        set.scale(0).await?;
        set.check_halted(&[0, 1, 2]).await?;
        set.set_broken(0, false).await?;
        set.once_there_are(0, true).await
    })
    .await
}

/// StatefulSet, Basic StatefulSet functionality: "Burst scaling should run to completion even with unhealthy pods".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn burst_scaling_completes_with_broken_components() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let set = Set::apply(namespace, 1, "Parallel", true).await?;
        set.once_there_are(1, false).await?;
        set.scale(3).await?;
        set.once_there_are(3, false).await?;
        for number in 0..3 {
            let runs = |pod: &Pod| pod.runs() && !pod.is_ready();
            let name = format!("ss-{number}");
            Pod::once(namespace, &name, "it runs and is broken", runs).await?;
        }
        set.scale(0).await?;
        set.once_there_are(0, false).await
    })
    .await
}

/// StatefulSet, Basic StatefulSet functionality: "should have a working scale subresource".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_scale_subresource_reads_and_changes_the_number_of_components() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let set = Set::apply(namespace, 1, "OrderedReady", false).await?;
        Pod::ready(namespace, "ss-0").await?;
        let name = namespace.name();
        let path = format!("/apis/apps/v1/namespaces/{name}/statefulsets/ss/scale");
        let scale: Value =
            serde_json::from_str(&namespace.kubectl(["get", "--raw", &path]).await?)?;
        ensure!(
            scale["spec"]["replicas"] == 1 && scale["status"]["replicas"] == 1,
            "{scale}"
        );
        let patch = r#"--patch={"spec":{"replicas":2}}"#;
        let words = [
            "patch",
            "statefulset",
            "ss",
            "--subresource=scale",
            "--type=merge",
            patch,
        ];
        namespace.kubectl(words).await?;
        ensure!(set.read().await?["spec"]["replicas"] == 2);
        Pod::ready(namespace, "ss-1").await?;
        Ok(())
    })
    .await
}

impl Set<'_> {
    /// Fails unless the controller has seen the change and left these pods alone. It acts on a change at once, so a look
    /// after it has seen the change and has written its status is enough.
    async fn check_halted(&self, wanted: &[usize]) -> Result<()> {
        self.revisions().await?;
        for _ in 0..5 {
            let numbers = self.numbers().await?;
            ensure!(numbers == wanted, "{numbers:?} instead of {wanted:?}");
        }
        Ok(())
    }
}
