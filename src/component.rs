//! The handler: one request in, one response out, one counter for the whole life of the instance.

use crate::config::Config;
use crate::responder::Responder;
use crate::wasi::Wasi;
use bytes::Bytes;
use spin_sdk::http::{FullBody, Request, Response};
use std::rc::Rc;

thread_local! {
    /// The responder. A component has one thread; its requests are tasks of it.
    static RESPONDER: Rc<Responder<Wasi>> = Rc::new(Responder::new(Rc::default(), config()));
}

/// Reads the configuration, and logs what is wrong with it.
fn config() -> Config {
    let config = Config::from_environment();
    if let Err(error) = &config.count_prefetch {
        eprintln!("{error}");
    }
    config
}

/// Responds to one request. Only the component exports this, because native linkers refuse the names of WASI's exports.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> Response<FullBody<Bytes>> {
    // The body is dropped unread. The host drains a small one, and closes the connection of a large one.
    let (head, _body) = request.into_parts();
    let responder = RESPONDER.with(Rc::clone);
    responder.respond(&head).await.map(FullBody::new)
}
