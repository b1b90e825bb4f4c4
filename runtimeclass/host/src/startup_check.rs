//! One request that the host itself sends when it starts. A component can use it to repair what a crash left behind, so
//! that the first visitor does not wait for the repair.
//!
//! The check is off by default, because only an application's author knows a path that is safe to request. A failed check
//! is logged and changes nothing else.

use crate::app::{App, Reached};
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use std::net::SocketAddr;

/// Bytes of a failed check's response body. The log has an error about the length in place of a longer body.
const MAX_BODY: usize = 4096;

/// The request of a startup check.
pub(crate) struct StartupCheck(Parts);

impl StartupCheck {
    /// Returns the check that requests `path`. Fails if no component is there.
    pub(crate) fn new(path: &str, app: &App) -> Result<Self> {
        let request = Request::get(format!("http://localhost{path}"))
            .body(())
            .ok()
            .filter(|_| path.starts_with('/'))
            .with_context(|| {
                format!("the startup check's path {path:?} is not a path: give one like /healthz")
            })?;
        let (head, ()) = request.into_parts();
        let reached = app.router.find(head.uri.path());
        ensure!(
            matches!(reached, Some((Reached::Component(..), _))),
            "no component is at the startup check's path {path:?}: give a path that a route of the manifest reaches"
        );
        Ok(Self(head))
    }

    /// Sends the request to the component, and logs a failure.
    pub(crate) async fn run(self, service: &Service, address: SocketAddr) {
        let path = self.0.uri.path().to_owned();
        let answer = service.dispatch(self.0, None, address).await;
        let status = answer.status();
        if status.is_success() {
            return;
        }
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let error = body.map_or_else(
            |error| error.to_string(),
            |body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        );
        tracing::warn!(
            path,
            status = status.as_u16(),
            error,
            "startup check failed"
        );
    }
}
