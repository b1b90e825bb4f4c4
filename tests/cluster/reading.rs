//! The operators' way to read a count: a pod's raw bytes through the API, piped into the Python app's line.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::stateful_set::{REPLICAS, StatefulSet, visits_bin};
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use visits_tests::command::run_beside;

/// The line, which ends like the Python app's.
const LINE: &str = r#""$KUBECTL_BIN" get --raw "$1" | python3 -c 'from sys import stdin; print(int.from_bytes(stdin.buffer.read(), "little"))'"#;

#[tokio::test]
#[ignore = "needs the node: reads volumes on it"]
async fn the_python_line_prints_the_count_on_each_pods_volume() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let served = visitors::visits_to_all(counters.address().await?).await?;
        let mut printed = [0_u64; REPLICAS];
        for (number, printed) in printed.iter_mut().enumerate() {
            let mut line = Command::new("sh");
            line.args(["-euc", LINE, "sh"])
                .arg(visits_bin(namespace, number));
            *printed = run_beside(line).await?.trim().parse()?;
            let bytes = on_the_volume(namespace, number).await?;
            ensure!(
                bytes == printed.to_le_bytes(),
                "visits-{number}: printed {printed}, but the volume has {bytes:?}"
            );
        }
        served.were_counted([0; REPLICAS], printed)
    })
    .await
}

/// Returns the count's bytes on a pod's volume, read on the node.
async fn on_the_volume(namespace: &Namespace<'_>, number: usize) -> Result<Vec<u8>> {
    let claim = format!("persistent-visits-{number}");
    let claim = namespace
        .json(["get", "persistentvolumeclaim", &claim])
        .await?;
    let volume = claim["spec"]["volumeName"]
        .as_str()
        .context("a claim without a volume")?;
    let volume = namespace.json(["get", "persistentvolume", volume]).await?;
    let path = |source: &str| volume["spec"][source]["path"].as_str().map(str::to_owned);
    let path = path("hostPath").or_else(|| path("local"));
    let path = path.with_context(|| {
        format!(
            "the volume is not on the node: {}",
            Value::to_string(&volume)
        )
    })?;
    namespace
        .cluster()
        .node(["cat", &format!("{path}/visits.bin")])
        .await
}
