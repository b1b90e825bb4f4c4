//! The component that tests/host/sdks.rs expects, with spin-sdk 5 for Rust, which builds components of WASI 0.2.

use anyhow::{Context, Result};
use spin_sdk::http::{IntoResponse, Method, Request, Response};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;

#[http_component]
async fn handle(request: Request) -> Result<impl IntoResponse> {
    let header = |name| request.header(name).and_then(|value| value.as_str());
    let body = match (request.method(), request.path()) {
        (Method::Get, "/hello") => b"hello from rust\n".to_vec(),
        (Method::Get, "/header") => {
            let colour = header("x-colour").context("no x-colour")?;
            format!("{} {} {colour}\n", request.path(), request.query()).into_bytes()
        }
        (Method::Post, "/echo") => request.body().to_vec(),
        (Method::Get, "/outbound") => {
            let url = header("x-url").context("no x-url")?;
            let response: Response = spin_sdk::http::send(Request::get(url)).await?;
            [format!("{} ", response.status()).as_bytes(), response.body()].concat()
        }
        (Method::Get, "/write") => {
            std::fs::write("/app/persistent/written", "by rust\n")?;
            std::fs::read("/app/persistent/written")?
        }
        (Method::Get, "/key-value") => {
            Store::open_default()?;
            b"opened\n".to_vec()
        }
        _ => return Ok(Response::new(404, "not found\n")),
    };
    let mut response = Response::new(200, body);
    response.set_header("content-type", "text/plain");
    Ok(response)
}
