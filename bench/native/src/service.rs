//! The response to a request in each mode.

use crate::fsync::Fsync;
use crate::platform::Native;
use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use http::request::Parts;
use http::{Response, StatusCode};
use std::path::Path;
use std::rc::Rc;
use visits::config::Config;
use visits::responder::Responder;
use visits::response;

/// What to serve.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    /// `hello`, for any request
    Hello,
    /// The counter: its own protocol and responses, compiled natively
    Visits,
    /// A number for any request, after an fsync for it alone
    Fsync,
}

/// A mode with what it keeps between requests.
pub(crate) enum Service {
    Hello,
    Visits(Box<Responder<Native>>),
    Fsync(Fsync),
}

impl Service {
    /// Returns the service of this mode, which counts in `directory`.
    pub(crate) fn new(mode: Mode, directory: &Path) -> Result<Self> {
        Ok(match mode {
            Mode::Hello => Service::Hello,
            Mode::Visits => {
                let platform = Rc::new(Native::new(directory));
                let responder = Responder::new(platform, Config::from_environment());
                Service::Visits(Box::new(responder))
            }
            Mode::Fsync => Service::Fsync(Fsync::open(directory)?),
        })
    }

    /// Responds to one request.
    pub(crate) async fn respond(&self, head: &Parts) -> Response<Bytes> {
        match self {
            // hyper adds the content-length.
            Service::Hello => Response::new(Bytes::from_static(b"hello\n")),
            Service::Visits(responder) => responder.respond(head).await,
            Service::Fsync(fsync) => match fsync.visit().await {
                Ok(number) => response::line(StatusCode::OK, number),
                Err(error) => response::line(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format_args!("visit not counted: {error:#}"),
                ),
            },
        }
    }
}
