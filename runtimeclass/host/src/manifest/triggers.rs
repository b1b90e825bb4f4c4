//! The triggers of a manifest: routes and their targets.

use super::components::Components;
use super::document::{Document, HttpTrigger, StaticResponse, TextOr};
use super::text::ManifestText;
use super::{Endpoint, Target, refusals};
use crate::route::Route;
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::collections::BTreeMap;
use toml::Spanned;

/// The prefix of the paths that the host answers itself, as Spin does: health and a description of the application.
pub(crate) const RESERVED: &str = "/.well-known/spin/";

/// Reads all triggers. Returns the public ones.
pub(super) fn endpoints<'d>(
    manifest: &ManifestText<'_>,
    document: &'d Document,
    components: &mut Components<'d>,
) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    let mut lines = BTreeMap::new();
    for trigger in &document.trigger.http {
        refusals::check_trigger(manifest, trigger.get_ref())?;
        let route = route(manifest, trigger.get_ref())?;
        let Some(target) = target(manifest, trigger, components, route.is_some())? else {
            continue;
        };
        let Some(route) = route else {
            continue;
        };
        let at = trigger.get_ref().route.span().start;
        if let Some(line) = lines.insert(route.shape(), manifest.line(at)) {
            let route = route.written();
            let what = format!(
                "the route {route:?} takes the requests of line {line} again: give it another route, or remove one"
            );
            return Err(manifest.error(at, &what));
        }
        endpoints.push(Endpoint { route, target });
    }
    if endpoints.is_empty() {
        return Err(manifest.error(
            0,
            "there is nothing to serve: no [[trigger.http]] has a route that requests can reach",
        ));
    }
    Ok(endpoints)
}

/// Returns the trigger's route, or `None` if it is private.
fn route(manifest: &ManifestText<'_>, trigger: &HttpTrigger) -> Result<Option<Route>> {
    let fail = |what: &str| manifest.error(trigger.route.span().start, what);
    let written = match trigger.route.get_ref() {
        TextOr::Text(written) => written,
        TextOr::Table(route) if *route.private.get_ref() => return Ok(None),
        TextOr::Table(_) => {
            return Err(fail(
                "a route is a path or { private = true }: private = false is neither",
            ));
        }
    };
    let route = Route::parse(written).map_err(|error| fail(&error.to_string()))?;
    if route.completed().starts_with(RESERVED) {
        return Err(fail(&format!(
            "the route {written:?} is below {RESERVED}, which the host answers itself: choose another"
        )));
    }
    Ok(Some(route))
}

/// Returns the trigger's target. A private component is checked but not served.
fn target<'d>(
    manifest: &ManifestText<'_>,
    trigger: &'d Spanned<HttpTrigger>,
    components: &mut Components<'d>,
    public: bool,
) -> Result<Option<Target>> {
    let at = trigger.span().start;
    let trigger = trigger.get_ref();
    match (&trigger.component, &trigger.static_response) {
        (None, None) => Err(manifest.error(
            at,
            "a trigger must name a component, or have a static_response",
        )),
        (Some(_), Some(response)) => Err(manifest.error(
            response.span().start,
            "a trigger must have either a component or a static_response: remove one",
        )),
        (None, Some(response)) => {
            let fixed = fixed(manifest, response.get_ref())?;
            Ok(public.then_some(Target::Response(fixed)))
        }
        (Some(component), None) => match component.get_ref() {
            TextOr::Table(table) => {
                let component = components.check("inline", table)?;
                Ok(public.then(|| Target::Component(components.serve_inline(component))))
            }
            TextOr::Text(name) if !components.has(name) => {
                let what = format!("there is no [component.{name}]");
                Err(manifest.error(component.span().start, &what))
            }
            TextOr::Text(name) if public => Ok(components.serve(name).map(Target::Component)),
            TextOr::Text(_) => Ok(None),
        },
    }
}

/// Builds the response of a `static_response`.
fn fixed(manifest: &ManifestText<'_>, response: &StaticResponse) -> Result<http::Response<Bytes>> {
    let body = response.body.clone().unwrap_or_default();
    let mut fixed = http::Response::new(Bytes::from(body));
    if let Some(code) = &response.status_code {
        *fixed.status_mut() = status(*code.get_ref())
            .map_err(|error| manifest.error(code.span().start, &error.to_string()))?;
    }
    for (name, value) in &response.headers {
        let header = || -> Result<_> {
            let parsed: HeaderName = name.get_ref().parse().context("the header's name")?;
            Ok((
                parsed,
                HeaderValue::from_str(value.get_ref()).context("the header's value")?,
            ))
        };
        let (name, value) = header().map_err(|error| {
            let what = format!("{:?} cannot be a header: {error:#}", name.get_ref());
            manifest.error(name.span().start, &what)
        })?;
        fixed.headers_mut().insert(name, value);
    }
    Ok(fixed)
}

fn status(code: u16) -> Result<StatusCode> {
    let status = StatusCode::from_u16(code)
        .map_err(|_| anyhow!("{code} is not a status code: choose one from 200 to 599"))?;
    ensure!(
        (200..600).contains(&code),
        "{code} cannot be a response's status: choose one from 200 to 599"
    );
    Ok(status)
}
