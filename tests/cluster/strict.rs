//! Every manifest is what the API knows, to the last field.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use anyhow::{Context, Result, ensure};
use serde_json::json;

/// The server's own check of what would be applied, which changes nothing.
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
async fn every_manifest_is_valid_and_of_the_service_monitor_only_the_kind_is_missing() -> Result<()>
{
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
                .context("there is an operator of Prometheus after all")?;
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
async fn a_field_that_does_not_exist_is_refused_which_proves_the_check() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let typo = json!([{ "op": "add", "path": "/spec/template/spec/runtimeClass", "value": "preopen" }]);
        let checked = check(namespace, &Manifests::base().with_patch(typo)?).await;
        let refused = format!("{:#}", checked.err().context("it is accepted")?);
        ensure!(refused.contains("unknown field \"spec.template.spec.runtimeClass\""), "{refused}");
        Ok(())
    })
    .await
}
