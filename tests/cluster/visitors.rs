//! Visits through the Service, and the responses to them: the pod and its number.

use crate::stateful_set::REPLICAS;
use anyhow::{Context, Result, ensure};
use http::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use visits_tests::client::empty;
use visits_tests::{Connection, DEADLINE, Reply, wait};

/// The responses to visitors: the numbers from each pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served(BTreeMap<String, Vec<u64>>);

impl Served {
    /// Adds a response.
    pub(crate) fn add(&mut self, pod: String, number: u64) {
        self.0.entry(pod).or_default().push(number);
    }

    /// Adds all responses of another.
    pub(crate) fn merge(&mut self, other: Self) {
        for (pod, numbers) in other.0 {
            self.0.entry(pod).or_default().extend(numbers);
        }
    }

    /// Returns the number of responses.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|numbers| numbers.len() as u64).sum()
    }

    /// Returns the number of pods that responded.
    pub(crate) fn pods(&self) -> usize {
        self.0.len()
    }

    /// Fails unless every pod's responses are exactly the numbers after `before` up to `after`, each once.
    pub(crate) fn were_counted(
        &self,
        before: [u64; REPLICAS],
        after: [u64; REPLICAS],
    ) -> Result<()> {
        self.are_distinct()?;
        for (number, (before, after)) in before.into_iter().zip(after).enumerate() {
            let numbers = self.of(number);
            let wanted = before + 1..=after;
            ensure!(
                numbers.len() as u64 == after - before
                    && numbers.iter().all(|number| wanted.contains(number)),
                "visits-{number} counted from {before} to {after}, but responded to {} visits with {:?} to {:?}",
                numbers.len(),
                numbers.iter().min(),
                numbers.iter().max()
            );
        }
        Ok(())
    }

    /// Fails if a pod lost a visit that it responded to, or if all pods counted more than `sent` visits.
    pub(crate) fn were_not_lost(
        &self,
        before: [u64; REPLICAS],
        after: [u64; REPLICAS],
        sent: u64,
    ) -> Result<()> {
        self.are_distinct()?;
        let mut counted = 0;
        for (number, (before, after)) in before.into_iter().zip(after).enumerate() {
            ensure!(
                before <= after,
                "visits-{number} went from {before} back to {after}"
            );
            counted += after - before;
            let numbers = self.of(number);
            let wanted = before + 1..=after;
            ensure!(
                numbers.iter().all(|number| wanted.contains(number)),
                "visits-{number} counted from {before} to {after}, but responded with {:?}",
                numbers.iter().max()
            );
        }
        ensure!(
            counted <= sent,
            "{sent} visits were sent and {counted} counted"
        );
        Ok(())
    }

    fn are_distinct(&self) -> Result<()> {
        for (pod, numbers) in &self.0 {
            let mut numbers = numbers.clone();
            numbers.sort_unstable();
            let double = numbers.windows(2).find(|pair| pair[0] == pair[1]);
            ensure!(
                double.is_none(),
                "{pod} returned a number twice: {double:?}"
            );
        }
        Ok(())
    }

    fn of(&self, number: usize) -> &[u64] {
        self.0
            .get(&format!("visits-{number}"))
            .map_or(&[], Vec::as_slice)
    }
}

/// Sends `count` visits, each on a new connection, so that the Service spreads them over its pods.
pub(crate) async fn visits(address: SocketAddr, count: u64) -> Result<Served> {
    let mut served = Served::default();
    for _ in 0..count {
        let mut connection = Connection::open(address).await?;
        let (pod, number) = visit(&mut connection).await?;
        served.add(pod, number);
    }
    Ok(served)
}

/// Visits until every pod has responded. A ready pod gets visitors once kube-proxy has its address.
pub(crate) async fn visits_to_all(address: SocketAddr) -> Result<Served> {
    let mut served = Served::default();
    let what = "the Service spreads its visitors over all pods";
    wait::until_every(Duration::from_millis(200), what, DEADLINE, async || {
        served.merge(visits(address, 40).await?);
        Ok((served.pods() == REPLICAS).then_some(()))
    })
    .await?;
    Ok(served)
}

/// Sends one visit and returns the pod that responded, with its number.
pub(crate) async fn visit(connection: &mut Connection) -> Result<(String, u64)> {
    let request = Request::get("/").header("accept", "application/json");
    read(&connection.call(request.body(empty())?).await?)
}

/// Returns the pod and the number in a response.
fn read(reply: &Reply) -> Result<(String, u64)> {
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    let body: Value =
        serde_json::from_slice(&reply.body).with_context(|| reply.text().to_owned())?;
    let pod = body["pod"]
        .as_str()
        .with_context(|| reply.text().to_owned())?;
    let number = body["visits"]
        .as_u64()
        .with_context(|| reply.text().to_owned())?;
    Ok((pod.to_owned(), number))
}
