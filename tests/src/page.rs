//! A tab of the browser, with a typed method for everything that the tests do in it.

use crate::chromium::Chromium;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

/// A colour scheme that a visitor's system can prefer.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// Dark ink on light paper.
    Light,
    /// Light ink on dark paper.
    Dark,
}

/// An open tab.
pub struct Page<'a> {
    browser: &'a Chromium,
    session: String,
}

impl<'a> Page<'a> {
    /// Opens an empty tab and subscribes to its events.
    pub async fn open(browser: &'a Chromium) -> Result<Self> {
        let target = browser
            .call(None, "Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call(None, "Target.attachToTarget", attach).await?;
        let session = attached["sessionId"]
            .as_str()
            .context("the browser has opened no session")?;
        let page = Self {
            browser,
            session: session.to_owned(),
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        // A background tab would not show the focus.
        let focused = json!({ "enabled": true });
        page.call("Emulation.setFocusEmulationEnabled", focused)
            .await?;
        Ok(page)
    }

    /// Navigates to an address and waits until the page is loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        let mark = self.browser.mark();
        let gone = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(
            gone["errorText"].is_null(),
            "cannot navigate to {url}: {gone}"
        );
        self.loaded(mark).await
    }

    /// Navigates to an address as a link in the page does, and waits until the page is loaded.
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

    /// Adds a speculation rule to the page (`action` is `prefetch` or `prerender`) and returns the status of the response that
    /// the browser gets for it.
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
        let response = self.browser.event(mark, &self.session, event, prefetched);
        let status = response.await?["params"]["response"]["status"].as_u64();
        status.context("the response has no status")
    }

    /// Evaluates a JavaScript expression in the page and returns its value.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let evaluate =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut response = self.call("Runtime.evaluate", evaluate).await?;
        if let Some(exception) = response.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        Ok(response["result"]["value"].take())
    }

    /// Evaluates an expression whose value is a text.
    pub async fn text(&self, expression: &str) -> Result<String> {
        match self.value(expression).await? {
            Value::String(text) => Ok(text),
            other => bail!("{expression} is {other}, not a text"),
        }
    }

    /// Prefers a colour scheme, and reduced motion so that a screenshot never shows part of an animation.
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

    /// Sets the size of the window.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .map(drop)
    }

    /// Presses the Tab key.
    pub async fn press_tab(&self) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            self.call("Input.dispatchKeyEvent", key).await?;
        }
        Ok(())
    }

    /// Saves a screenshot of the window as a PNG file.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        let taken = self
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await?;
        let encoded = taken["data"]
            .as_str()
            .context("the screenshot has no data")?;
        let picture = STANDARD
            .decode(encoded)
            .context("the screenshot is not base64")?;
        std::fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Returns every address that the page has requested.
    pub fn requests(&self) -> Vec<String> {
        let events = self.browser.events(&self.session).into_iter();
        events
            .filter(|(_, event)| event["method"] == "Network.requestWillBeSent")
            .filter_map(|(_, event)| Some(event["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// Returns all errors and warnings that a developer's console would show.
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
