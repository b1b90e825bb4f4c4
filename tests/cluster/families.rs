//! The address families of the suite's dual-stack cluster: a counter responds on each of its addresses.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::stateful_set::{PORT, REPLICAS, StatefulSet};
use crate::visitors;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// Visits from the node and prints the response.
const VISIT: &str = "import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())";

#[tokio::test]
#[ignore = "needs a dual-stack cluster of its own"]
async fn a_counter_responds_on_the_addresses_of_its_pod_its_service_and_the_balancer() -> Result<()>
{
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let before = counters.counts().await?;
        let mut sent = 0;
        // The addresses of pods and Services exist inside the node alone.
        let pod = namespace.json(["get", "pod", "visits-0"]).await?;
        let pod = of_both_families(&pod["status"]["podIPs"], |address| &address["ip"])?;
        let service = namespace.json(["get", "service", "visits"]).await?;
        let service = of_both_families(&service["spec"]["clusterIPs"], |address| address)?;
        for address in pod.into_iter().chain(service) {
            let url = format!("http://{address}/");
            let response = cluster.node(["python3", "-c", VISIT, &url]).await?;
            let number: u64 = String::from_utf8(response)?.trim().parse()?;
            ensure!(number > 0, "{address}");
            sent += 1;
        }
        let balancer = counters.addresses().await?;
        ensure!(
            balancer.len() == 2 && balancer[0].is_ipv4() != balancer[1].is_ipv4(),
            "{balancer:?}"
        );
        for address in balancer {
            sent += visitors::visits(address, 20).await?.total();
        }
        let after = counters.counts().await?;
        let counted: u64 = (0..REPLICAS).map(|pod| after[pod] - before[pod]).sum();
        ensure!(counted == sent, "{sent} visits and {counted} counted");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a dual-stack cluster of its own"]
async fn a_pods_name_resolves_to_both_of_its_addresses() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        StatefulSet::start(namespace, &Manifests::base()).await?;
        let slices = [
            "get",
            "endpointslices",
            "--selector=kubernetes.io/service-name=visits-pods",
        ];
        let slices = namespace.json(slices).await?;
        let slices = slices["items"].as_array().context("no slices")?;
        for family in ["IPv4", "IPv6"] {
            let of_family = |slice: &&Value| slice["addressType"] == family;
            let slice = slices.iter().find(of_family).context(family)?;
            let endpoints = slice["endpoints"].as_array().map_or(0, Vec::len);
            ensure!(endpoints == REPLICAS, "{family}: {slice}");
        }
        Ok(())
    })
    .await
}

/// Reads a list of two addresses, one of each family.
fn of_both_families(list: &Value, address: impl Fn(&Value) -> &Value) -> Result<Vec<SocketAddr>> {
    let addresses = list.as_array().into_iter().flatten().map(|item| {
        let text = address(item).as_str().context("no address")?;
        let address: IpAddr = text.parse().context(text.to_owned())?;
        Ok(SocketAddr::new(address, PORT))
    });
    let addresses = addresses.collect::<Result<Vec<_>>>()?;
    ensure!(
        addresses.len() == 2 && addresses[0].is_ipv4() != addresses[1].is_ipv4(),
        "not one address of each family: {list}"
    );
    Ok(addresses)
}
