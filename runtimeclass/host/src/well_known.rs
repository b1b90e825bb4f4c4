//! Answers the paths below `/.well-known/spin/`, as Spin does: health and a description of the application.

use crate::answer::{self, Answer};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// The beginning of the paths.
pub(crate) const PREFIX: &str = crate::manifest::RESERVED;

/// The application's name and version.
#[derive(Serialize)]
pub(crate) struct Info {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

impl Info {
    /// Answers a request. `path` is the path after the prefix.
    pub(crate) fn answer(&self, path: &str) -> Answer {
        match path {
            "health" => answer::fixed(Response::new(Bytes::from_static(b"OK"))),
            "info" => self.described(),
            _ => answer::line(StatusCode::NOT_FOUND, "no component is at this path"),
        }
    }

    fn described(&self) -> Answer {
        // Two strings always serialise.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(text));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        answer::fixed(response)
    }
}
