//! The handler: one request in, one response out, one counter for the whole life of the instance.
//!
//! It implements WASI's `handler` itself, because `spin_sdk::http_service` copies every request whole into the component:
//! a third of a visit's processor time. `bench/sdk` is the same counter behind that macro.

use crate::config::Config;
use crate::responder::Responder;
use crate::wasi::{Wasi, http};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
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

/// The handler that the component exports.
pub struct Handler;

// Only the component exports this: native linkers refuse the names of WASI's exports.
#[cfg(all(target_family = "wasm", feature = "export"))]
spin_sdk::wasip3::http::service::export!(Handler);

impl Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let head = http::head(&request)?;
        // The body is dropped unread. The host drains a small one, and closes the connection of a large one.
        drop(request);
        let responder = RESPONDER.with(Rc::clone);
        http::response(responder.respond(&head).await)
    }
}
