//! What the component sees of its environment, and what it can do there.

use crate::text;
use anyhow::{Context, Result};
use http_body_util::BodyExt;
use spin_sdk::http::{BoxBody, Request, Response, box_body};
use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

/// Returns the environment, one line per variable.
pub(crate) fn environment() -> String {
    std::env::vars()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

/// Returns the request's headers, one line each, sorted.
pub(crate) fn headers(request: &Request) -> String {
    let line = |(name, value): (&spin_sdk::http::HeaderName, &spin_sdk::http::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    let mut lines: Vec<String> = request.headers().iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// Returns a file's text, or the error.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("{error}\n"))
}

/// Returns the value of an application variable, or the error.
pub(crate) async fn variable(name: &str) -> String {
    match spin_sdk::variables::get(name).await {
        Ok(value) => format!("{value}\n"),
        Err(error) => format!("{error:?}\n"),
    }
}

/// Returns the preopened directories, one line each.
pub(crate) fn directories() -> String {
    get_directories()
        .into_iter()
        .map(|(_, name)| format!("{name}\n"))
        .collect()
}

/// Returns the first preopened directory, and its path.
fn first_directory() -> Result<(Descriptor, String)> {
    get_directories().into_iter().next().context("no directory")
}

/// Writes a file in the first preopened directory with the standard library, which blocks the whole instance.
pub(crate) fn write(name: &str) -> Result<Response<BoxBody>> {
    let (_, directory) = first_directory()?;
    let path = format!("{directory}/{name}");
    Ok(match std::fs::write(&path, "written\n") {
        Ok(()) => text("written\n"),
        Err(error) => text(format!("{path}: {error}\n")),
    })
}

/// Responds, and writes the file 300 ms later.
pub(crate) fn write_later(name: String) -> Response<BoxBody> {
    wasi::wit_bindgen::spawn(async move {
        wasi::clocks::monotonic_clock::wait_for(300_000_000).await;
        let _ = write(&name);
    });
    text("later\n")
}

/// Syncs a file of the first preopened directory and that directory, each in two ways, by WASI 0.3. Returns the results.
pub(crate) async fn sync(name: &str) -> Result<String> {
    let (directory, _) = first_directory()?;
    let file = directory
        .open_at(
            PathFlags::empty(),
            name.to_owned(),
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await?;
    let file = (file.sync().await, file.sync_data().await);
    let directory = (directory.sync().await, directory.sync_data().await);
    Ok(format!("{file:?} {directory:?}\n"))
}

/// Does the same by WASI 0.2, which the standard library uses.
pub(crate) fn sync_with_the_standard_library(name: &str) -> Result<String> {
    let (_, path) = first_directory()?;
    let file = std::fs::File::open(format!("{path}/{name}"))?;
    let file = (file.sync_all(), file.sync_data());
    let directory = std::fs::File::open(path)?;
    let directory = (directory.sync_all(), directory.sync_data());
    Ok(format!("{file:?} {directory:?}\n"))
}

/// Sends a request and responds with its status, or the error.
pub(crate) async fn outbound(url: &str) -> Result<Response<BoxBody>> {
    Ok(match spin_sdk::http::get(url).await {
        Ok(response) => text(format!("{}\n", response.status().as_u16())),
        Err(error) => text(format!("{error:?}\n")),
    })
}

/// Sends a request, reads the whole response, and responds with its length, or the error.
pub(crate) async fn fetch(url: &str) -> Result<Response<BoxBody>> {
    let response = match spin_sdk::http::get(url).await {
        Ok(response) => response,
        Err(error) => return Ok(text(format!("{error:?}\n"))),
    };
    Ok(match response.into_body().collect().await {
        Ok(body) => text(format!("{} bytes\n", body.to_bytes().len())),
        Err(error) => text(format!("{error:?}\n")),
    })
}

/// Opens a file of the first preopened directory with WASI's own call, which does not block the instance.
pub(crate) async fn open(name: &str) -> Result<Response<BoxBody>> {
    let (directory, _) = first_directory()?;
    let opened = directory
        .open_at(
            PathFlags::empty(),
            name.to_owned(),
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await;
    Ok(match opened {
        Ok(_) => text("opened\n"),
        Err(error) => text(format!("{error:?}\n")),
    })
}

/// Sends a request, and responds with the body of its response while it arrives.
pub(crate) async fn relay(url: &str) -> Result<Response<BoxBody>> {
    let response = spin_sdk::http::get(url).await;
    let response = response.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(Response::new(box_body(response.into_body())))
}
