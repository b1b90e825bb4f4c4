//! A browser that fetches the page before the person goes there: that is no visit, going there is one.

use crate::NUMBER;
use crate::stage::Stage;
use anyhow::{Result, ensure};
use visits_tests::get;
use visits_tests::page::Page;

const BEFORE: u64 = 481;

/// A browser of its own for each: after a 503 with `Retry-After`, Chromium prefetches nothing from there for so long.
async fn counts_once_when_the_person_goes_there(action: &str) -> Result<()> {
    let stage = Stage::at(BEFORE).await?;
    stage.judge(speculation(&stage, action).await)
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn a_page_that_was_prefetched_counts_once_when_the_person_goes_there() -> Result<()> {
    counts_once_when_the_person_goes_there("prefetch").await
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn a_page_that_was_prerendered_counts_once_when_the_person_goes_there() -> Result<()> {
    counts_once_when_the_person_goes_there("prerender").await
}

async fn speculation(stage: &Stage, action: &str) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    // A page of the same origin, as a browser asks of one that it prerenders from; it counts nothing itself.
    page.goto(&format!("{}visits", stage.url())).await?;
    let status = page.speculate(action, "/").await?;
    ensure!(status == 503, "answered with {status}");
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
