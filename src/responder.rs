//! The response to each request. Only `GET /` counts.

#[cfg(test)]
mod tests;

use crate::accept::Form;
use crate::config::Config;
use crate::metrics::{self, Metrics};
use crate::page::{self, Page};
use crate::prefetch;
use crate::protocol::platform::Platform;
use crate::protocol::{CountError, CountResult, Counter, Refusal, record};
use crate::response::{self, Response, TEXT};
use crate::route::Route;
use http::header::{ACCEPT, CACHE_CONTROL, RETRY_AFTER, VARY};
use http::{HeaderName, Method, StatusCode, request};
use serde::Serialize;
use std::borrow::Borrow;
use std::iter;
use std::rc::Rc;
use std::time::SystemTime;

/// The request headers that [`Responder::respond`] reads.
pub fn headers() -> impl Iterator<Item = HeaderName> {
    iter::once(ACCEPT).chain(prefetch::HEADERS)
}

/// The counter, its measurements and its configuration, which live as long as the instance.
pub struct Responder<P: Platform> {
    counter: Counter<P>,
    metrics: Rc<Metrics>,
    config: Config,
}

/// A number as JSON.
#[derive(Serialize)]
struct Json<'a> {
    visits: u64,
    pod: &'a str,
}

impl<P: Platform> Responder<P> {
    /// Returns a responder that counts on the volume of `platform`.
    pub fn new(platform: Rc<P>, config: Config) -> Self {
        let metrics = Rc::new(Metrics::default());
        Responder {
            counter: Counter::new(platform, metrics.clone()),
            metrics,
            config,
        }
    }

    /// Responds to one request. The request's body is never read, so whatever a sender does with it, no visit waits.
    pub async fn respond(&self, head: &request::Parts) -> Response {
        let Some(route) = Route::parse(head.uri.path()) else {
            return response::line(StatusCode::NOT_FOUND, "no such path: try /");
        };
        match head.method {
            Method::GET => self.get(route, head).await,
            Method::HEAD => response::without_body(self.get(route, head).await),
            _ => response::method_not_allowed(),
        }
    }

    async fn get(&self, route: Route, head: &request::Parts) -> Response {
        match route {
            Route::Root => self.root(head).await,
            Route::Visits => or_refusal(self.counter.current().await, |visits| match form(head) {
                Form::Page => self.number(Form::Text, visits, None),
                form => self.number(form, visits, None),
            }),
            Route::VisitsBin => or_refusal(self.counter.current().await, |visits| {
                let bytes = record::encode(visits).to_vec();
                response::new(StatusCode::OK, "application/octet-stream", bytes)
            }),
            Route::Metrics => or_refusal(self.counter.current().await, |visits| {
                let text = self.metrics.text(visits);
                response::new(StatusCode::OK, metrics::CONTENT_TYPE, text)
            }),
            Route::Healthz => match self.config.refusal() {
                Some(refusal) => refusal,
                None => or_refusal(self.counter.probe().await, |()| {
                    response::line(StatusCode::OK, "ready")
                }),
            },
            Route::Livez => response::line(StatusCode::OK, "alive"),
            Route::Favicon => {
                let icon = response::new(StatusCode::OK, "image/svg+xml", page::FAVICON);
                response::with(icon, CACHE_CONTROL, "public, max-age=86400")
            }
        }
    }

    /// Responds to `GET /`. Responds to `HEAD /` with the same headers and without counting.
    async fn root(&self, head: &request::Parts) -> Response {
        let form = form(head);
        let vary = match self.config.count_prefetch {
            Ok(true) => "accept",
            _ => prefetch::VARY,
        };
        let refuses_prefetches = self.config.count_prefetch == Ok(false);
        let response = match self.config.refusal() {
            Some(refusal) => refusal,
            None if refuses_prefetches && prefetch::announced(&head.headers) => prefetch::refusal(),
            None if head.method == Method::HEAD => self.number(form, 0, None),
            None => self.visit(form).await,
        };
        response::with(response, VARY, vary)
    }

    async fn visit(&self, form: Form) -> Response {
        match self.counter.visit().await {
            Ok(visits) => {
                let since = match form {
                    Form::Page => self.counter.since().await,
                    Form::Json | Form::Text => None,
                };
                self.number(form, visits, since)
            }
            Err(error) => refusal(error.borrow()),
        }
    }

    fn number(&self, form: Form, visits: u64, since: Option<SystemTime>) -> Response {
        let pod = &self.config.pod;
        let response = match form {
            Form::Page => Page::new(visits, pod, since).response(),
            Form::Json => {
                let json = serde_json::to_vec(&Json { visits, pod });
                let json = json.expect("a number and a string are JSON");
                response::new(StatusCode::OK, "application/json", json)
            }
            Form::Text => response::new(StatusCode::OK, TEXT, format!("{visits}\n")),
        };
        response::with(response, VARY, "accept")
    }
}

fn or_refusal<T>(result: CountResult<T>, response: impl FnOnce(T) -> Response) -> Response {
    match result {
        Ok(value) => response(value),
        Err(error) => refusal(&error),
    }
}

/// Returns a refusal as one plain line in every form, because scripts and people in a hurry read it.
fn refusal(error: &CountError) -> Response {
    match error.refusal {
        Refusal::NotACount => response::line(StatusCode::INTERNAL_SERVER_ERROR, error),
        Refusal::Unavailable => {
            let line = response::line(StatusCode::SERVICE_UNAVAILABLE, error);
            response::with(line, RETRY_AFTER, "5")
        }
    }
}

/// Returns the form that the request's `Accept` headers prefer.
fn form(head: &request::Parts) -> Form {
    let accepts = head.headers.get_all(ACCEPT).iter();
    let accepts: Vec<&str> = accepts.filter_map(|value| value.to_str().ok()).collect();
    Form::preferred(&accepts.join(","))
}
