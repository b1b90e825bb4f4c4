//! The counter behind spin-sdk's macro. `cargo xtask bench` measures what the counter's own export saves.
#![cfg(target_family = "wasm")]

use bytes::Bytes;
use spin_sdk::http::{FullBody, Request, Response};
use spin_sdk::http_service;
use std::rc::Rc;
use visits::config::Config;
use visits::responder::Responder;
use visits::wasi::Wasi;

thread_local! {
    /// The responder. A component has one thread; its requests are tasks of it.
    static RESPONDER: Rc<Responder<Wasi>> =
        Rc::new(Responder::new(Rc::default(), Config::from_environment()));
}

#[http_service]
async fn handle(request: Request) -> Response<FullBody<Bytes>> {
    let (head, _body) = request.into_parts();
    let responder = RESPONDER.with(Rc::clone);
    responder.respond(&head).await.map(FullBody::new)
}
