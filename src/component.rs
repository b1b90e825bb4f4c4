//! The handler: one request in, one response out, one counter for the whole life of the instance.
//!
//! It implements WASI's `handler` itself. `spin_sdk::http_service` would copy every request whole into the component,
//! which costs as much processor time as a quarter of a visit.

use crate::config::Config;
use crate::responder::{self, Responder};
use crate::wasi::Wasi;
use http::request;
use http::uri::{PathAndQuery, Uri};
use spin_sdk::http::{FullBody, IntoResponse};
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
        let head = head(&request)?;
        // The body is dropped unread. The host drains a small one, and closes the connection of a large one.
        drop(request);
        let responder = RESPONDER.with(Rc::clone);
        let response = responder.respond(&head).await;
        response.map(FullBody::new).into_response()
    }
}

/// Reads what the responder needs of a request.
fn head(request: &Request) -> Result<request::Parts, ErrorCode> {
    let path = request.get_path_with_query().unwrap_or_default();
    let path = PathAndQuery::try_from(path).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let method = http::Method::try_from(request.get_method());
    let method = method.map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let mut head = http::Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, Uri::from(path));
    let headers = request.get_headers();
    for name in responder::headers() {
        for value in headers.get(name.as_str()) {
            let value = value.try_into().map_err(|_| ErrorCode::HttpProtocolError)?;
            head.headers.append(&name, value);
        }
    }
    Ok(head)
}
