//! A minimal component with this SDK, which the counter is compared with.
#![cfg(target_family = "wasm")]

use bytes::Bytes;
use spin_sdk::http::{FullBody, HeaderValue, Request, Response};
use spin_sdk::http_service;

#[http_service]
async fn handle(_request: Request) -> Response<FullBody<Bytes>> {
    let mut response = Response::new(FullBody::new(Bytes::from_static(b"hello\n")));
    response
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("6"));
    response
}
