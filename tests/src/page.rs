//! One tab of the browser, with a typed call for each thing that the tests do to it.

use crate::chromium::Chromium;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

/// A colour scheme that a visitor's system asks for.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// Dark ink on light paper.
    Light,
    /// Light ink on dark paper.
    Dark,
}

/// A tab.
pub struct Page<'a> {
    browser: &'a Chromium,
    session: String,
}

impl<'a> Page<'a> {
    /// Opens an empty tab and listens to what happens in it.
    pub async fn open(browser: &'a Chromium) -> Result<Self> {
        let target = browser
            .call(None, "Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call(None, "Target.attachToTarget", attach).await?;
        let session = attached["sessionId"].as_str().context("no session")?;
        let page = Self {
            browser,
            session: session.to_owned(),
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        // A tab in the background would not show where the focus is.
        let focused = json!({ "enabled": true });
        page.call("Emulation.setFocusEmulationEnabled", focused)
            .await?;
        Ok(page)
    }

    /// Goes to an address and waits until everything there is loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        let mark = self.browser.mark();
        let gone = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(gone["errorText"].is_null(), "go to {url}: {gone}");
        self.loaded(mark).await
    }

    /// Goes to an address as a link in the page does, and waits until everything there is loaded.
    pub async fn follow(&self, url: &str) -> Result<()> {
        let mark = self.browser.mark();
        self.value(&format!("void (location.href = {})", json!(url)))
            .await?;
        self.loaded(mark).await
    }

    async fn loaded(&self, mark: usize) -> Result<()> {
        let event = "Page.loadEventFired";
        let loaded = self.browser.event(mark, &self.session, event, |_| true);
        loaded.await.map(drop)
    }

    /// Adds a speculation rule to the page: `action` is `prefetch` or `prerender`. Returns the status of the answer
    /// to the request that the browser makes for it.
    pub async fn speculate(&self, action: &str, url: &str) -> Result<u64> {
        let rules = json!({ action: [{ "urls": [url], "eagerness": "immediate" }] }).to_string();
        let add = format!(
            "(() => {{ const rules = document.createElement('script'); rules.type = 'speculationrules';
                rules.textContent = {}; document.head.append(rules); }})()",
            json!(rules)
        );
        let mark = self.browser.mark();
        self.value(&add).await?;
        let prefetched = |event: &Value| event["type"] == "Prefetch";
        let event = "Network.responseReceived";
        let answered = self.browser.event(mark, &self.session, event, prefetched);
        let status = answered.await?["params"]["response"]["status"].as_u64();
        status.context("an answer without a status")
    }

    /// The value of a JavaScript expression in the page.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let evaluate =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", evaluate).await?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        Ok(answer["result"]["value"].take())
    }

    /// The same, a text.
    pub async fn text(&self, expression: &str) -> Result<String> {
        match self.value(expression).await? {
            Value::String(text) => Ok(text),
            other => bail!("{expression} is not a text but {other}"),
        }
    }

    /// Asks for a colour scheme, and for no motion, so that a picture never shows half a movement.
    pub async fn prefer(&self, scheme: Scheme) -> Result<()> {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        let media = json!({ "features": features });
        self.call("Emulation.setEmulatedMedia", media)
            .await
            .map(drop)
    }

    /// Gives the window this size.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .map(drop)
    }

    /// Presses the tabulator key.
    pub async fn press_tab(&self) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            self.call("Input.dispatchKeyEvent", key).await?;
        }
        Ok(())
    }

    /// Saves what the window shows as a PNG.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        let taken = self
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await?;
        let encoded = taken["data"].as_str().context("a picture without data")?;
        let picture = STANDARD.decode(encoded).context("decode the picture")?;
        std::fs::write(file, picture).with_context(|| format!("write {}", file.display()))
    }

    /// Every address that the page has asked for.
    pub fn requests(&self) -> Vec<String> {
        let events = self.browser.events(&self.session).into_iter();
        events
            .filter(|(_, event)| event["method"] == "Network.requestWillBeSent")
            .filter_map(|(_, event)| Some(event["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// Everything that a developer's console would show in red or yellow.
    pub fn complaints(&self) -> Vec<Value> {
        let complains = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                ["error", "warning", "assert"].contains(&text(&event["params"]["type"]))
            }
            Some("Log.entryAdded") => {
                ["error", "warning"].contains(&text(&event["params"]["entry"]["level"]))
            }
            _ => false,
        };
        let events = self.browser.events(&self.session).into_iter();
        events.map(|(_, event)| event).filter(complains).collect()
    }

    async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.browser
            .call(Some(&self.session), method, parameters)
            .await
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
