//! An operator's first look: the table in the Python app's report, and the Service's address, which was pending there.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::{Namespace, items};
use crate::stateful_set::{REPLICAS, StatefulSet};
use anyhow::{Result, ensure};
use serde_json::json;
use visits_tests::get;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn four_pods_run_with_their_volumes_behind_an_address_that_responds() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::base()).await?;
        let pods = namespace.kubectl(["get", "pods", "--no-headers"]).await?;
        let rows: Vec<Vec<&str>> = rows(&pods);
        for (number, row) in rows.iter().enumerate() {
            let expected = [&format!("visits-{number}"), "1/1", "Running", "0"];
            ensure!(row[..4] == expected, "{pods}");
        }
        ensure!(rows.len() == REPLICAS, "{pods}");

        let sets = namespace
            .kubectl(["get", "statefulsets", "--no-headers"])
            .await?;
        ensure!(rows_start(&sets, &[["visits", "4/4"]]), "{sets}");

        let address = counters.address().await?;
        let service = namespace.json(["get", "service", "visits"]).await?;
        ensure!(service["spec"]["type"] == "LoadBalancer", "{service}");
        let port = &service["spec"]["ports"][0];
        ensure!(
            port["port"] == 5000 && !port["nodePort"].is_null(),
            "{port}"
        );
        let reply = get(address, "/").await?;
        ensure!(reply.status == 200, "{reply:?}");
        reply.text().trim().parse::<u64>()?;

        let claims = namespace.json(["get", "persistentvolumeclaims"]).await?;
        let mut names = Vec::new();
        for claim in items(&claims) {
            names.push(claim["metadata"]["name"].clone());
            ensure!(claim["status"]["phase"] == "Bound", "{claim}");
            ensure!(
                claim["spec"]["resources"]["requests"]["storage"] == "1Mi",
                "{claim}"
            );
            ensure!(claim["status"]["capacity"]["storage"] == "1Mi", "{claim}");
            ensure!(
                claim["status"]["accessModes"] == json!(["ReadWriteOncePod"]),
                "{claim}"
            );
            ensure!(claim["spec"]["storageClassName"] == "standard", "{claim}");
        }
        let expected: Vec<_> = (0..REPLICAS)
            .map(|number| format!("persistent-visits-{number}"))
            .collect();
        ensure!(json!(names) == json!(expected), "{names:?}");

        for pod in counters.pods().await? {
            let first = pod.init_spec();
            ensure!(
                first["name"] == "change-ownership-of-persistent-volume",
                "{first}"
            );
            ensure!(pod.spec()["name"] == "visits", "{}", pod.spec());
        }
        Ok(())
    })
    .await
}

/// Returns the words of each line.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn rows_start<const N: usize>(table: &str, expected: &[[&str; N]]) -> bool {
    let rows = rows(table);
    rows.len() == expected.len()
        && rows
            .iter()
            .zip(expected)
            .all(|(row, start)| row.starts_with(start))
}
