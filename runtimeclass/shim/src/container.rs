//! What happens in a process of its own: making, starting and removing containers with libcontainer, and, in what that
//! forks, the container's process itself. One thread, no environment, its request on standard input.
//!
//! - `create`: from a bundle to a process that waits to be started
//! - `prepare`: the component's machine code, mapped before the container is entered
//! - `compile`: machine code that is not there yet, made by a process without rights
//! - `executor`: what a container's process does: become a native program, or serve a component
//! - `delete`: what is left of a container, removed

mod compile;
mod create;
mod delete;
mod executor;
mod prepare;

pub(crate) use delete::delete;

use crate::request::{Place, Request, Response};
use anyhow::{Context, Result};
use libcontainer::container::Container;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Does what the request on standard input asks. The arguments only tell people who look at the process list.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let done = match arguments.first() {
        Some(role) if role == compile::ROLE => compile::main(),
        _ => answer(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("read the request")?;
    let response = match serde_json::from_slice(&text).context("read the request")? {
        Request::Create(request) => Response {
            pid: Some(create::create(&request)?),
        },
        Request::Start(place) => {
            start(&place)?;
            Response::default()
        }
        Request::Delete(place) => {
            delete(&place)?;
            Response::default()
        }
    };
    let answer = serde_json::to_vec(&response)?;
    std::io::stdout()
        .write_all(&answer)
        .context("answer the request")
}

fn start(place: &Place) -> Result<()> {
    let mut container = Container::load(place.container()).context("load the container")?;
    container.start().context("start the container")
}
