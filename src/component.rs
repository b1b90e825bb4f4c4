//! The handler: one request in, one answer out, one counter for the whole life of the instance.

use crate::metrics::Metrics;
use crate::protocol::Counter;
use crate::routes;
use crate::wasi::Wasi;
use bytes::Bytes;
use spin_sdk::http::{FullBody, Request, Response};
use spin_sdk::http_service;
use std::env;
use std::rc::Rc;

/// What lives as long as the instance.
struct Instance {
    counter: Counter<Wasi>,
    pod: String,
}

thread_local! {
    /// A component has one thread; its requests are tasks of it.
    static INSTANCE: Rc<Instance> = Rc::new(Instance {
        counter: Counter::new(Rc::default(), Rc::new(Metrics::default())),
        pod: pod_name(),
    });
}

/// The replica's name: Kubernetes' downward API sets `POD_NAME` where the manifest asks for it, and containers
/// have a `HOSTNAME`, which in a pod is the same.
fn pod_name() -> String {
    env::var("POD_NAME")
        .or_else(|_| env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unnamed".into())
}

#[http_service]
async fn handle(request: Request) -> anyhow::Result<Response<FullBody<Bytes>>> {
    // Dropping the body unread leaves it to the host: a small one is drained, a large one closes the connection.
    let (head, _body) = request.into_parts();
    let instance = INSTANCE.with(Rc::clone);
    let answer = routes::answer(&instance.counter, &instance.pod, &head).await;
    let mut response = Response::new(FullBody::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
