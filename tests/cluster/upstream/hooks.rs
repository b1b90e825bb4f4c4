//! Lifecycle hooks. A counter takes the place of upstream's server that records requests: each request of a hook is a visit.

use crate::cluster::Cluster;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::specs;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::Duration;
use visits_tests::{DEADLINE, wait};

/// Container Lifecycle Hook, "when create a pod with lifecycle hook": "should execute poststart http hook properly" and
/// "should execute prestop http hook properly".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn http_hooks_of_a_component_are_executed() -> Result<()> {
    let cluster = Cluster::shared().await?;
    // A hook with another host is a privilege.
    Namespace::with_security(&cluster, "privileged", async |namespace| {
        let handler = specs::component("handler");
        namespace.apply(specs::pod("handler", &[handler])).await?;
        let handler = Pod::ready(namespace, "handler").await?;
        let address = handler.address().context("the handler has no address")?;
        let hook = json!({ "httpGet": { "host": address, "port": 5000, "path": "/" } });
        for (kind, before) in [("postStart", 0), ("preStop", 1)] {
            ensure!(visits(namespace).await? == before, "a visit before {kind}");
            let mut component = specs::component("hooked");
            component["lifecycle"][kind] = hook.clone();
            let mut pod = specs::pod("hooked", &[component]);
            pod["spec"]["terminationGracePeriodSeconds"] = 30.into();
            namespace.apply(pod).await?;
            Pod::ready(namespace, "hooked").await?;
            let there = visits(namespace).await?;
            ensure!(there == 1, "{there} visits while {kind} is tested");
            let delete = ["delete", "pod", "hooked", "--grace-period=30"];
            namespace.wait(DEADLINE, delete).await?;
            let after = before + 1;
            let what = format!("{after} visits after {kind}");
            let pause = Duration::from_millis(200);
            wait::until_every(pause, &what, DEADLINE, async || {
                Ok((visits(namespace).await? == after).then_some(()))
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// Returns the handler's count, without a visit.
async fn visits(namespace: &Namespace<'_>) -> Result<u64> {
    let count = namespace.get("handler", "/visits").await?;
    count.trim().parse().with_context(|| count.clone())
}
