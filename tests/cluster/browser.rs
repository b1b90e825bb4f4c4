//! What people see, and what the cluster's own visitors do meanwhile.

use crate::cluster::Cluster;
use crate::counter::{Counter, REPLICAS};
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::chromium::Chromium;
use visits_tests::page::Page;
use visits_tests::wait;

/// How often each opening is repeated.
const OPENINGS: u64 = 5;

#[tokio::test]
#[ignore = "needs a cluster and Chromium"]
async fn a_browser_sees_the_count_of_one_pod_and_its_name_and_the_others_stay_as_they_are()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::only_people_count()).await?;
        let address = counter.address().await?;
        let browser = Chromium::start().await?;
        let page = Page::open(&browser).await?;
        let mut expected = counter.counts().await?;
        ensure!(
            expected == [0; REPLICAS],
            "{expected:?} before the first visit"
        );
        for _ in 0..OPENINGS {
            page.goto(&format!("http://{address}/")).await?;
            let pod = page
                .text("document.querySelector('#pod').textContent")
                .await?;
            let number = pod
                .strip_prefix("visits-")
                .and_then(|it| it.parse::<usize>().ok());
            let number = number.with_context(|| format!("the page names {pod:?} as the pod"))?;
            expected[number] += 1;
            let shown = page
                .text("document.querySelector('#visits').textContent")
                .await?;
            ensure!(
                shown == expected[number].to_string(),
                "{pod} shows {shown}, not {}",
                expected[number]
            );
            let counted = counter.counts().await?;
            ensure!(
                counted == expected,
                "counted {counted:?}, shown {expected:?}"
            );
        }
        ensure!(page.complaints().is_empty(), "{:?}", page.complaints());
        Ok(())
    })
    .await
}

/// So many times the slowest pod is probed.
const PROBES: u64 = 3;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_that_nobody_visits_are_counted_up_by_their_probes_at_one_pace() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counter = Counter::start(namespace, &Manifests::base()).await?;
        let probe = counter.pod(0).await?.spec()["readinessProbe"].clone();
        ensure!(probe["httpGet"]["path"] == "/", "{probe}");
        let period = probe["periodSeconds"]
            .as_u64()
            .context("the period of the readiness probe")?;
        let period = Duration::from_secs(period);
        let (before, start) = (counter.counts().await?, Instant::now());
        let rises = |after: [u64; REPLICAS]| {
            std::array::from_fn::<_, REPLICAS, _>(|pod| after[pod] - before[pod])
        };
        let deadline = period * (PROBES as u32 + 3);
        let what = format!("every pod is probed {PROBES} times");
        let rises = wait::until_every(period / 20, &what, deadline, async || {
            let rises = rises(counter.counts().await?);
            Ok(rises.iter().all(|&rise| rise >= PROBES).then_some(rises))
        })
        .await?;
        // One each period, give or take the one at either end.
        let periods = start.elapsed().as_secs_f64() / period.as_secs_f64();
        ensure!(
            rises
                .iter()
                .all(|&rise| (rise as f64 - periods).abs() <= 1.5),
            "in {periods:.1} periods the counts rose by {rises:?}"
        );
        Ok(())
    })
    .await
}
