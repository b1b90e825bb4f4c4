//! Reading a count as operators do: the raw bytes of a pod through the API, into the line of Python that was used before.

use crate::cluster::Cluster;
use crate::counter::{Counter, REPLICAS, visits_bin};
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use visits_tests::command::run_beside;

/// The end of the line is the Python app's own.
const LINE: &str = r#""$KUBECTL_BIN" get --raw "$1" | python3 -c 'from sys import stdin; print(int.from_bytes(stdin.buffer.read(), "little"))'"#;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_line_of_python_prints_what_each_pod_has_counted_and_what_is_on_its_volume()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let served = visitors::visits_to_all(counter.address().await?).await?;
        let mut printed = [0_u64; REPLICAS];
        for (number, printed) in printed.iter_mut().enumerate() {
            let mut line = Command::new("sh");
            line.args(["-euc", LINE, "sh"])
                .arg(visits_bin(namespace.name(), number));
            *printed = run_beside(line).await?.trim().parse()?;
            let bytes = on_the_volume(namespace, number).await?;
            ensure!(
                bytes == printed.to_le_bytes(),
                "visits-{number}: {printed} is printed, and on the volume there is {bytes:?}"
            );
        }
        served.were_counted([0; REPLICAS], printed)
    })
    .await
}

/// The bytes on the volume of a pod, read on the node.
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
    let path = path.with_context(|| format!("not on the node: {}", Value::to_string(&volume)))?;
    namespace
        .cluster()
        .node(["cat", &format!("{path}/visits.bin")])
        .await
}
