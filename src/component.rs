//! The handler: one request in, one response out, one counter for the whole life of the instance.

use crate::metrics::Metrics;
use crate::protocol::Counter;
use crate::routes;
use crate::settings::Settings;
use crate::wasi::Wasi;
use bytes::Bytes;
use spin_sdk::http::{FullBody, Request, Response};
use std::rc::Rc;

/// What lives as long as the instance.
struct Instance {
    counter: Counter<Wasi>,
    metrics: Rc<Metrics>,
    settings: Settings,
}

thread_local! {
    /// A component has one thread; its requests are tasks of it.
    static INSTANCE: Rc<Instance> = {
        let metrics = Rc::new(Metrics::default());
        Rc::new(Instance {
            counter: Counter::new(Rc::default(), metrics.clone()),
            metrics,
            settings: settings(),
        })
    };
}

/// Reads the settings, and logs what is wrong with them.
fn settings() -> Settings {
    let settings = Settings::from_environment();
    if let Err(error) = &settings.count_prefetch {
        eprintln!("{error}");
    }
    settings
}

/// Responds to one request. Only the component exports it: native linkers refuse the names of WASI's exports.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> anyhow::Result<Response<FullBody<Bytes>>> {
    // Dropping the body unread leaves it to the host: a small one is drained, a large one closes the connection.
    let (head, _body) = request.into_parts();
    let instance = INSTANCE.with(Rc::clone);
    let Instance {
        counter,
        metrics,
        settings,
    } = &*instance;
    let answer = routes::answer(counter, metrics, settings, &head).await;
    let mut response = Response::new(FullBody::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
