//! Every field of every manifest is known to the API.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use anyhow::{Context, Result, ensure};
use serde_json::json;

/// Makes the API check manifests strictly without applying them.
async fn check(namespace: &Namespace<'_>, manifests: &Manifests) -> Result<String> {
    let apply = [
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--kustomize",
        &manifests.path(),
    ];
    namespace.kubectl(apply).await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_manifest_is_valid_except_that_the_kind_of_the_service_monitor_is_missing()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        check(namespace, &Manifests::base()).await?;
        let overlays = Manifests::overlays()?;
        ensure!(overlays.len() >= 4, "{overlays:?}");
        for name in overlays {
            let checked = check(namespace, &Manifests::overlay(&name)).await;
            if name != "servicemonitor" {
                checked.with_context(|| name.clone())?;
                continue;
            }
            let refused = checked
                .err()
                .context("the cluster has the kind ServiceMonitor")?;
            let refused = format!("{refused:#}");
            let missing =
                "no matches for kind \"ServiceMonitor\" in version \"monitoring.coreos.com/v1\"";
            ensure!(
                refused.contains(missing) && refused.matches("rror").count() <= 2,
                "{refused}"
            );
        }
        let volume = format!("{}/volume.yaml", Manifests::base().path());
        let apply = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            &volume,
        ];
        namespace.kubectl(apply).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_check_refuses_a_field_that_does_not_exist() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let typo = json!([{ "op": "add", "path": "/spec/template/spec/runtimeClass", "value": "preopen" }]);
        let checked = check(namespace, &Manifests::base().with_patch(typo)?).await;
        let refused = format!("{:#}", checked.err().context("the field was accepted")?);
        ensure!(refused.contains("unknown field \"spec.template.spec.runtimeClass\""), "{refused}");
        Ok(())
    })
    .await
}
