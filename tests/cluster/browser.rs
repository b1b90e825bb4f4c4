//! The page in a browser, and the visits of kubelet's probes.

use crate::cluster::Cluster;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::stateful_set::{REPLICAS, StatefulSet};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use visits_tests::chromium::Chromium;
use visits_tests::page::Page;
use visits_tests::wait;

/// How often the page is opened.
const OPENINGS: u64 = 5;

#[tokio::test]
#[ignore = "needs a cluster and Chromium"]
async fn a_browser_shows_the_count_and_name_of_one_pod_and_the_others_do_not_count() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let address = counters.address().await?;
        let browser = Chromium::start().await?;
        let page = Page::open(&browser).await?;
        let mut expected = counters.counts().await?;
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
            let counted = counters.counts().await?;
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

/// The number of probes to wait for in every pod.
const PROBES: u64 = 3;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn probes_alone_raise_every_count_once_a_period() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::base()).await?;
        let probe = counters.pod(0).await?.spec()["readinessProbe"].clone();
        ensure!(probe["httpGet"]["path"] == "/", "{probe}");
        let period = probe["periodSeconds"]
            .as_u64()
            .context("the period of the readiness probe")?;
        let period = Duration::from_secs(period);
        let (before, start) = (counters.counts().await?, Instant::now());
        let rises = |after: [u64; REPLICAS]| {
            std::array::from_fn::<_, REPLICAS, _>(|pod| after[pod] - before[pod])
        };
        let deadline = period * (PROBES as u32 + 3);
        let what = format!("every pod is probed {PROBES} times");
        let rises = wait::until_every(period / 20, &what, deadline, async || {
            let rises = rises(counters.counts().await?);
            Ok(rises.iter().all(|&rise| rise >= PROBES).then_some(rises))
        })
        .await?;
        // One a period, with a tolerance of one probe at either end.
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
