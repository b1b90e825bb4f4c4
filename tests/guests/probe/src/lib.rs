//! A component that misbehaves on request: each path causes one thing that a host must handle.
//!
//! - `misdeeds`: traps, endless loops, endless waits, endless memory
//! - `bodies`: request bodies echoed, swallowed and ignored; long responses
//! - `output`: what it prints
//! - `world`: what the component sees of its environment
//!
//! It compiles natively, too, so that clippy and rust-analyzer see it. Only the component exports the handler.

mod bodies;
mod misdeeds;
mod output;
mod world;

use bytes::Bytes;
use spin_sdk::http::{BoxBody, FullBody, Request, Response, box_body};

/// Responds to one request by its path.
///
/// # Errors
/// Returns the error of a misdeed that fails, or of a malformed parameter.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> anyhow::Result<Response<BoxBody>> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    match path.as_str() {
        _ if query.starts_with("headers") => Ok(text(world::headers(&request))),
        "/hello" => Ok(text("hello\n")),
        "/trap" => panic!("asked to"),
        "/trap-late" => Ok(misdeeds::trap_late()),
        "/loop" => misdeeds::compute_for_ever(),
        "/loop-later" => Ok(misdeeds::compute_for_ever_after_the_response()),
        "/hang" => misdeeds::wait_for_ever().await,
        "/allocate" => misdeeds::allocate_for_ever(),
        "/recurse" => Ok(text(misdeeds::recurse(0).to_string())),
        "/flood" => misdeeds::print_for_ever(),
        "/take" => Ok(misdeeds::take(parameter(&query, "mebibytes").parse()?)),
        "/echo" => Ok(bodies::echo(request)),
        "/swallow" => bodies::swallow(request).await,
        "/trailers" => bodies::trailers(request).await,
        "/ignore" => Ok(text("ignored\n")),
        "/bytes" => bodies::bytes(parameter(&query, "n").parse()?),
        "/env" => Ok(text(world::environment())),
        "/dirs" => Ok(text(world::directories())),
        "/uri" => Ok(text(format!("{}\n", request.uri()))),
        "/read" => Ok(text(world::read(parameter(&query, "path")))),
        "/variable" => Ok(text(world::variable(parameter(&query, "name")).await)),
        "/write" => world::write(parameter(&query, "name")),
        "/write-later" => Ok(world::write_later(parameter(&query, "name").to_owned())),
        "/sync" => Ok(text(world::sync(parameter(&query, "name")).await?)),
        "/sync-with-std" => Ok(text(world::sync_with_the_standard_library(parameter(
            &query, "name",
        ))?)),
        "/print" => Ok(output::print()),
        "/print-lines" => Ok(output::print_lines(parameter(&query, "n").parse()?)),
        "/stream-lines" => Ok(output::stream_lines(parameter(&query, "n").parse()?).await),
        "/open" => world::open(parameter(&query, "name")).await,
        "/sleep" => Ok(misdeeds::sleep(parameter(&query, "milliseconds").parse()?).await),
        "/invalid" => misdeeds::invalid(parameter(&query, "kind")),
        "/fetch" => world::fetch(parameter(&query, "url")).await,
        "/relay" => world::relay(parameter(&query, "url")).await,
        "/outbound" => world::outbound(parameter(&query, "url")).await,
        _ => {
            let mut response = text("no such misdeed\n");
            *response.status_mut() = spin_sdk::http::StatusCode::NOT_FOUND;
            Ok(response)
        }
    }
}

/// Returns a text response with a `content-length`.
fn text(text: impl Into<String>) -> Response<BoxBody> {
    let text = text.into();
    let length = text.len();
    let mut response = Response::new(box_body(FullBody::new(Bytes::from(text))));
    response
        .headers_mut()
        .insert("content-length", length.into());
    response
}

/// Returns a parameter of a query without decoding it.
fn parameter<'q>(query: &'q str, name: &str) -> &'q str {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value)
}
