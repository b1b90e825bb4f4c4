//! The page as a visitor sees and uses it: the real host and component in a real Chromium.
//!
//! - [`stage`]: a host and a browser for each test, and a report of both if the test fails
//! - [`prefetch`]: pages that a browser fetches before a person visits them
//!
//! A plain `cargo test` ignores these tests, because there may be no browser. `cargo xtask test` runs them, and installs a
//! browser if it may.

mod prefetch;
mod stage;

use anyhow::{Result, ensure};
use stage::{POD, Stage, picture};
use std::time::SystemTime;
use visits_tests::get;
use visits_tests::page::{Page, Scheme};

/// The window sizes that the page must fit: the narrowest phone, a usual phone, a desktop.
const WINDOWS: [(u32, u32); 3] = [(320, 568), (390, 844), (1280, 800)];

/// Lists the elements that overflow the window or their own box at the side.
const OVERFLOWING: &str = "[document.documentElement, ...document.body.querySelectorAll('*')]
    .filter(it => it.scrollWidth > Math.max(it.clientWidth, 1) && it.clientWidth > 0
        || it.getBoundingClientRect().right > innerWidth)
    .map(it => it.outerHTML.slice(0, 80)).join('; ')";

/// Computes the lowest contrast of any text with the page's background, by WCAG 2.
const LOWEST_CONTRAST: &str = "(() => {
    const light = colour => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(it => it / 255)
            .map(it => it <= .03928 ? it / 12.92 : ((it + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b + .05;
    };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    return Math.min(...[...document.body.querySelectorAll('h1, h1 *, dt, dd, p, a')]
        .map(it => light(getComputedStyle(it).color))
        .map(ink => Math.max(ink, paper) / Math.min(ink, paper)));
})()";

/// Returns where the focus is, and whether it is visible.
const FOCUS: &str = "(() => {
    const it = document.activeElement, style = getComputedStyle(it);
    const seen = it.matches(':focus-visible') && style.outlineStyle != 'none'
        && parseFloat(style.outlineWidth) >= 2 && style.outlineColor != getComputedStyle(document.body).backgroundColor;
    return it == document.body ? 'nothing' : it.getAttribute('href') + (seen ? ' seen' : ' unseen');
})()";

const NUMBER: &str = "document.querySelector('#visits').textContent";

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn each_opening_of_the_page_counts_one_and_nothing_else_counts() -> Result<()> {
    let stage = Stage::at(481).await?;
    stage.judge(opening_counts(&stage).await)
}

async fn opening_counts(stage: &Stage) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    for expected in ["482", "483"] {
        page.goto(&stage.url()).await?;
        let shown = page.text(NUMBER).await?;
        ensure!(shown == expected, "shows {shown:?}, not {expected}");
        let title = page.text("document.title").await?;
        ensure!(title == format!("{expected} visits"), "title {title:?}");
    }
    for icon in ["/favicon.svg", "/favicon.ico"] {
        let status = get(stage.host.address(), icon).await?.status;
        ensure!(status == 200, "{icon}: {status}");
    }
    let counted = get(stage.host.address(), "/visits").await?;
    ensure!(counted.text().trim() == "483", "counted {counted:?}");

    let requests = page.requests();
    let strangers: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&stage.url()))
        .collect();
    ensure!(
        strangers.is_empty(),
        "requests to other servers: {strangers:?}"
    );
    let scripts = page.value("document.scripts.length").await?;
    ensure!(scripts == 0, "the page has {scripts} scripts");
    let complaints = page.complaints();
    ensure!(complaints.is_empty(), "the console shows {complaints:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn the_page_names_the_pod_and_when_counting_began() -> Result<()> {
    let begun = seconds();
    let stage = Stage::at(0).await?;
    stage.judge(pod_and_since(&stage, begun).await)
}

async fn pod_and_since(stage: &Stage, begun: f64) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    page.goto(&stage.url()).await?;
    let heading = page
        .text("document.querySelector('h1').innerText.replace(/\\s+/g, ' ')")
        .await?;
    ensure!(heading.starts_with("1 visit."), "heading {heading:?}");
    let pod = page
        .text("document.querySelector('#pod').textContent")
        .await?;
    ensure!(pod == POD, "pod {pod:?}");
    let since = page
        .text("document.querySelector('#since').dateTime")
        .await?;
    let parsed = page.value(&format!("Date.parse({since:?}) / 1000")).await?;
    // The page truncates to seconds, and the disk's clock is coarser than the system's.
    let expected = begun - 2.0..=seconds();
    ensure!(
        parsed.as_f64().is_some_and(|it| expected.contains(&it)) && since.ends_with('Z'),
        "since {since:?}, {parsed}, not within {expected:?}"
    );
    let year = &since[..4];
    let human = page
        .text("document.querySelector('#since').textContent")
        .await?;
    ensure!(
        human.contains(year) && human.ends_with("UTC"),
        "since {human:?}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn every_number_fits_every_window_in_light_and_dark() -> Result<()> {
    // 483 is the README's picture. The other is the greatest count.
    for (before, name) in [(482, ""), (u64::MAX - 1, "-greatest")] {
        let stage = Stage::at(before).await?;
        stage.judge(fits(&stage, before + 1, name).await)?;
    }
    Ok(())
}

async fn fits(stage: &Stage, number: u64, name: &str) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    page.prefer(Scheme::Light).await?;
    page.goto(&stage.url()).await?;
    let shown = page.text(NUMBER).await?;
    ensure!(shown == number.to_string(), "shows {shown:?}, not {number}");
    let mut papers = Vec::new();
    for (scheme, suffix) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        page.prefer(scheme).await?;
        for (width, height) in WINDOWS {
            page.resize(width, height).await?;
            let outside = page.text(OVERFLOWING).await?;
            ensure!(outside.is_empty(), "{width} px wide: {outside} overflows");
            let device = if width == 1280 {
                "desktop".to_owned()
            } else {
                format!("phone-{width}")
            };
            let file = picture(&format!("{device}{name}-{suffix}.png"))?;
            page.screenshot(&file).await?;
        }
        let contrast = page.value(LOWEST_CONTRAST).await?;
        ensure!(
            contrast.as_f64().is_some_and(|it| it >= 4.5),
            "{scheme:?}: a contrast of {contrast}"
        );
        let paper = "getComputedStyle(document.body).backgroundColor";
        papers.push(page.text(paper).await?);
    }
    ensure!(papers[0] != papers[1], "light and dark are both {papers:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask test browser"]
async fn the_keyboard_reaches_every_link_with_a_visible_focus() -> Result<()> {
    let stage = Stage::at(0).await?;
    stage.judge(keyboard(&stage).await)
}

async fn keyboard(stage: &Stage) -> Result<()> {
    let page = Page::open(&stage.browser).await?;
    for scheme in [Scheme::Light, Scheme::Dark] {
        page.prefer(scheme).await?;
        page.goto(&stage.url()).await?;
        for expected in ["/visits seen", "/metrics seen"] {
            page.press_tab().await?;
            let focus = page.text(FOCUS).await?;
            ensure!(focus == expected, "{scheme:?}: focus on {focus:?}");
        }
    }
    Ok(())
}

fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}
