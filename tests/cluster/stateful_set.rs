//! The counters in a namespace, the StatefulSet `visits`: applied, scaled, addressed and read.

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::kubectl::{self, POD, ROLLOUT};
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::OnceCell;
use visits_tests::command::Bounded;
use visits_tests::{DEADLINE, get, wait};

/// The number of pods in the manifests.
pub(crate) const REPLICAS: usize = 4;

/// How long the load balancer may take to announce an address. On a starting node its speaker may run before the network to
/// the API exists: it waits 30 s, ends, and is restarted 10 s later.
const ANNOUNCED: Duration = Duration::from_secs(180);

/// The port of pods and of the Service.
pub(crate) const PORT: u16 = 5000;

/// The StatefulSet `visits` of a namespace with its Service and claims.
#[derive(Debug)]
pub(crate) struct StatefulSet<'n> {
    namespace: &'n Namespace<'n>,
}

impl<'n> StatefulSet<'n> {
    /// Applies the manifests and waits until every pod is ready.
    pub(crate) async fn start(namespace: &'n Namespace<'n>, manifests: &Manifests) -> Result<Self> {
        let counters = Self { namespace };
        counters.apply(manifests).await?;
        Ok(counters)
    }

    /// Starts a single counter, on this disk, that counts people alone.
    pub(crate) async fn start_on(namespace: &'n Namespace<'n>, disk: &Disk<'_>) -> Result<Self> {
        let manifests = Manifests::only_people_count().with_patch(disk.patch())?;
        Self::start(namespace, &manifests).await
    }

    /// Applies other manifests and waits until every pod is updated and ready.
    pub(crate) async fn apply(&self, manifests: &Manifests) -> Result<()> {
        manifests.apply(self.namespace).await?;
        self.rolled_out().await
    }

    /// Waits until every pod is updated and ready.
    pub(crate) async fn rolled_out(&self) -> Result<()> {
        let status = ["rollout", "status", "statefulset/visits"];
        self.namespace.wait(ROLLOUT, status).await.map(drop)
    }

    /// Changes the number of pods and waits until the others are gone and the rest is ready.
    pub(crate) async fn scale(&self, from: usize, to: usize) -> Result<()> {
        let replicas = format!("--replicas={to}");
        let scale = ["scale", "statefulset/visits", &replicas];
        self.namespace.kubectl(scale).await?;
        for number in to..from {
            let pod = format!("pod/visits-{number}");
            let gone = ["wait", "--for=delete", &pod];
            self.namespace.wait(POD, gone).await?;
        }
        self.rolled_out().await
    }

    /// Returns the address of the Service once it responds; if there are two, the primary family's.
    pub(crate) async fn address(&self) -> Result<SocketAddr> {
        let mut addresses = self.addresses().await?;
        Ok(addresses.swap_remove(0))
    }

    /// Returns the addresses of the Service once they respond. They come from the load balancer, or, on a foreign cluster
    /// without one, from the first node and the Service's node port.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let service = ["get", "service/visits"];
        let (printed, port) = if self.is_balanced().await? {
            let addresses = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
            let [get, name] = service;
            (self.namespace.kubectl([get, name, addresses]).await?, PORT)
        } else {
            let service = self.namespace.json(service).await?;
            let port = &service["spec"]["ports"][0]["nodePort"];
            let port = port.as_u64().and_then(|port| port.try_into().ok());
            let node = r#"--output=jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
            let addresses = kubectl::run(["get", "nodes", node]).await?;
            (addresses, port.context("the Service has no node port")?)
        };
        let mut addresses = Vec::new();
        for address in printed.split_whitespace() {
            let address: IpAddr = address.parse().with_context(|| printed.clone())?;
            addresses.push(responding(SocketAddr::new(address, port)).await?);
        }
        Ok(addresses)
    }

    /// Waits for the load balancer's address. Returns false if a foreign cluster assigns none; the first wait decides this for
    /// all tests.
    async fn is_balanced(&self) -> Result<bool> {
        static FOREIGN: OnceCell<bool> = OnceCell::const_new();
        let assigned = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}";
        let wait = || {
            self.namespace
                .wait(DEADLINE, ["wait", assigned, "service/visits"])
        };
        if self.cluster().is_foreign() {
            let first = FOREIGN.get_or_init(async || wait().await.is_ok()).await;
            if !first {
                return Ok(false);
            }
        }
        wait().await.map(|_| true)
    }

    /// Returns one of its pods.
    pub(crate) async fn pod(&self, number: usize) -> Result<Pod> {
        Pod::read(self.namespace, &format!("visits-{number}")).await
    }

    /// Returns the [`REPLICAS`] pods of the manifests.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>> {
        try_join_all((0..REPLICAS).map(|number| self.pod(number))).await
    }

    /// Returns the count of one pod, by the README's way of reading it.
    pub(crate) async fn count(&self, number: usize) -> Result<u64> {
        let path = visits_bin(self.namespace, number);
        let get = kubectl::command(["get", "--raw", &path])?;
        let bytes = Bounded::new(get).run_beside().await?;
        let bytes: [u8; 8] = bytes[..]
            .try_into()
            .with_context(|| format!("{path} has {} bytes", bytes.len()))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Returns the counts of all pods.
    pub(crate) async fn counts(&self) -> Result<[u64; REPLICAS]> {
        let counts = try_join_all((0..REPLICAS).map(|number| self.count(number))).await?;
        Ok(counts.try_into().expect("one for each pod"))
    }

    fn cluster(&self) -> &Cluster {
        self.namespace.cluster()
    }
}

/// Waits until an address responds. The load balancer assigns an address before it announces it.
async fn responding(address: SocketAddr) -> Result<SocketAddr> {
    let what = format!("a response from {address}");
    wait::until_every(Duration::from_millis(200), &what, ANNOUNCED, async || {
        let request = tokio::time::timeout(Duration::from_secs(2), get(address, "/livez"));
        let responds = matches!(request.await, Ok(Ok(reply)) if reply.status == 200);
        Ok(responds.then_some(address))
    })
    .await
}

/// Returns the path, in the API, of a pod's raw count.
pub(crate) fn visits_bin(namespace: &Namespace<'_>, number: usize) -> String {
    namespace.proxy(&format!("visits-{number}"), "/visits.bin")
}
