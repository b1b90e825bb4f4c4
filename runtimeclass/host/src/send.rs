//! Sends a component's outbound requests if [`Allowed`] allows them.
//!
//! - [`caller`]: the request that the component was handling when it sent one
//! - [`exchange`]: one outbound request and its response, over its own connection

mod caller;
mod exchange;

pub(crate) use caller::Caller;

use crate::grants::Grants;
use crate::outbound::Allowed;
use crate::trust::Trust;
use exchange::{Deadline, Exchange};
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

type Response = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

/// Sends the outbound requests of one instance.
pub(crate) struct Outbound {
    allowed: Allowed,
    trust: Arc<Trust>,
    /// The time limit of a request to the component.
    limit: Duration,
    caller: Caller,
}

impl Outbound {
    /// Returns the sender for an instance with these grants. `caller` identifies the request that the component handles.
    pub(crate) fn new(grants: &Grants, limit: Duration, caller: Caller) -> Self {
        Self {
            allowed: grants.outbound.clone(),
            trust: grants.trust.clone(),
            limit,
            caller,
        }
    }

    /// Returns a sender that refuses every request.
    pub(crate) fn none() -> Self {
        Self {
            allowed: Allowed::default(),
            trust: Arc::default(),
            limit: Duration::MAX,
            caller: Caller::default(),
        }
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Response, Error>> + Send> {
        if !self.allowed.allows(request.uri()) {
            tracing::warn!(
                uri = %request.uri(),
                "refused an outbound request: allowed_outbound_hosts does not name its host"
            );
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let exchange = Exchange {
            trust: self.trust.clone(),
            deadline: Deadline::new(self.caller.request(), self.limit),
            limit: self.limit,
            options: options.unwrap_or_default(),
        };
        Box::new(exchange.run(request))
    }
}
