//! The counter in a namespace: applied, waited for, found and read.

use crate::kubectl::{self, POD, ROLLOUT};
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use visits_tests::{DEADLINE, get, wait};

/// How many pods the manifests ask for.
pub(crate) const REPLICAS: usize = 4;

/// How long the balancer may take to announce an address. On a node that starts, its speaker may be up before the network
/// to the API is: it waits for that 30 s, ends, and is started again 10 s later.
const ANNOUNCED: Duration = Duration::from_secs(180);

/// The port of the Service.
const PORT: u16 = 5000;

/// The StatefulSet `visits` of a namespace and what belongs to it.
#[derive(Debug)]
pub(crate) struct Counter<'n> {
    namespace: &'n Namespace<'n>,
}

impl<'n> Counter<'n> {
    /// Applies the manifests and waits until every pod is ready.
    pub(crate) async fn start(namespace: &'n Namespace<'n>, manifests: &Manifests) -> Result<Self> {
        let counter = Self { namespace };
        counter.apply(manifests).await?;
        Ok(counter)
    }

    /// Applies manifests again and waits until every pod is of them, and ready.
    pub(crate) async fn apply(&self, manifests: &Manifests) -> Result<()> {
        manifests.apply(self.namespace).await?;
        self.rolled_out().await
    }

    /// Waits until every pod is of the newest manifests, and ready.
    pub(crate) async fn rolled_out(&self) -> Result<()> {
        let status = ["rollout", "status", "statefulset/visits"];
        self.namespace.wait(ROLLOUT, status).await.map(drop)
    }

    /// Asks for another number of pods and waits until there are so many.
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

    /// The address of the Service, once it answers; of the primary family, if there are two.
    pub(crate) async fn address(&self) -> Result<SocketAddr> {
        let mut addresses = self.addresses().await?;
        Ok(addresses.swap_remove(0))
    }

    /// All addresses that the balancer has given to the Service, once they answer.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let given = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}";
        self.namespace
            .wait(DEADLINE, ["wait", given, "service/visits"])
            .await?;
        let output = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        let printed = self
            .namespace
            .kubectl(["get", "service/visits", output])
            .await?;
        let mut addresses = Vec::new();
        for address in printed.split_whitespace() {
            let address: IpAddr = address.parse().with_context(|| printed.clone())?;
            addresses.push(announced(SocketAddr::new(address, PORT)).await?);
        }
        Ok(addresses)
    }

    /// A pod of it.
    pub(crate) async fn pod(&self, number: usize) -> Result<Pod> {
        Pod::read(self.namespace, &format!("visits-{number}")).await
    }

    /// All pods that there are to be.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>> {
        try_join_all((0..REPLICAS).map(|number| self.pod(number))).await
    }

    /// The count of one pod, as the README reads it.
    pub(crate) async fn count(&self, number: usize) -> Result<u64> {
        let path = visits_bin(self.namespace.name(), number);
        let get = kubectl::command(["get", "--raw", &path])?;
        let bytes = visits_tests::command::Bounded::new(get)
            .run_beside()
            .await?;
        let bytes: [u8; 8] = bytes[..]
            .try_into()
            .with_context(|| format!("{path} has {} bytes", bytes.len()))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The counts of all pods.
    pub(crate) async fn counts(&self) -> Result<[u64; REPLICAS]> {
        let counts = try_join_all((0..REPLICAS).map(|number| self.count(number))).await?;
        Ok(counts.try_into().expect("as many as were asked"))
    }
}

/// Waits until the balancer's address answers: given is not yet announced.
async fn announced(address: SocketAddr) -> Result<SocketAddr> {
    let what = format!("the balancer's {address} answers");
    wait::until_every(Duration::from_millis(200), &what, ANNOUNCED, async || {
        let ask = tokio::time::timeout(Duration::from_secs(2), get(address, "/livez"));
        let answered = matches!(ask.await, Ok(Ok(reply)) if reply.status == 200);
        Ok(answered.then_some(address))
    })
    .await
}

/// Where the API has the raw bytes of a pod.
pub(crate) fn visits_bin(namespace: &str, number: usize) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/visits-{number}:{PORT}/proxy/visits.bin")
}
