//! A browser that fetches the page before the person goes there: that is no visit, going there is one.

use crate::NUMBER;
use crate::stage::Stage;
use anyhow::{Result, ensure};
use visits_tests::get;
use visits_tests::page::Page;

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn a_page_that_was_speculated_about_counts_once_when_the_person_goes_there() -> Result<()> {
    let stage = Stage::at(481).await?;
    stage.judge(speculations(&stage).await)
}

async fn speculations(stage: &Stage) -> Result<()> {
    for (action, before) in [("prefetch", 481), ("prerender", 482)] {
        let page = Page::open(&stage.browser).await?;
        // A page of the same origin, as a browser asks of one that it prerenders from; it counts nothing itself.
        page.goto(&format!("{}visits", stage.url())).await?;
        let status = page.speculate(action, "/").await?;
        ensure!(status == 503, "{action}: answered with {status}");
        let counted = get(stage.host.address(), "/visits").await?;
        ensure!(
            counted.text() == format!("{before}\n"),
            "{action}: counted {counted:?}"
        );
        page.follow("/").await?;
        let shown = page.text(NUMBER).await?;
        let expected = (before + 1).to_string();
        ensure!(
            shown == expected,
            "{action}: shows {shown:?}, not {expected}"
        );
        let counted = get(stage.host.address(), "/visits").await?;
        ensure!(
            counted.text().trim_end() == expected,
            "{action}: counted {counted:?}"
        );
    }
    Ok(())
}
