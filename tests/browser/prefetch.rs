//! A browser that fetches the page before the person visits: the fetch is not a visit, the person's navigation is.

use crate::NUMBER;
use crate::stage::Stage;
use anyhow::{Result, ensure};
use visits_tests::get;
use visits_tests::page::Page;

const BEFORE: u64 = 481;

/// Each test has its own browser, because after a 503 Chromium prefetches nothing from that site until `Retry-After` ends.
async fn counts_once_when_the_person_visits(action: &str) -> Result<()> {
    let stage = Stage::at(BEFORE).await?;
    stage.judge(speculation(&stage, action).await)
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn a_page_that_was_prefetched_counts_once_when_the_person_visits() -> Result<()> {
    counts_once_when_the_person_visits("prefetch").await
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn a_page_that_was_prerendered_counts_once_when_the_person_visits() -> Result<()> {
    counts_once_when_the_person_visits("prerender").await
}

async fn speculation(stage: &Stage, action: &str) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    // A page of the same origin, which prerendering requires, and which does not count.
    page.goto(&format!("{}visits", stage.url())).await?;
    let status = page.speculate(action, "/").await?;
    ensure!(status == 503, "the prefetch got {status}");
    let counted = get(stage.host.address(), "/visits").await?;
    ensure!(
        counted.text() == format!("{BEFORE}\n"),
        "counted {counted:?}"
    );
    page.follow("/").await?;
    let shown = page.text(NUMBER).await?;
    let expected = (BEFORE + 1).to_string();
    ensure!(shown == expected, "shows {shown:?}, not {expected}");
    let counted = get(stage.host.address(), "/visits").await?;
    ensure!(counted.text().trim_end() == expected, "counted {counted:?}");
    Ok(())
}
