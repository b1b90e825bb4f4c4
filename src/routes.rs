//! The requests, and their answers. Only `GET /` counts.

use crate::accept::Form;
use crate::answer::{Answer, TEXT};
use crate::metrics::{self, Metrics};
use crate::page::{self, Page};
use crate::prefetch;
use crate::protocol::platform::Platform;
use crate::protocol::{CountError, CountResult, Counter, Refusal, record};
use crate::settings::Settings;
use http::header::{ACCEPT, CACHE_CONTROL, RETRY_AFTER, VARY};
use http::{Method, StatusCode, request};
use serde::Serialize;
use std::borrow::Borrow;

/// A number, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    visits: u64,
    pod: &'a str,
}

/// Answers one request.
///
/// The body is never looked at, and its host drops or drains it: nothing a sender does with it can hold a visit.
pub async fn answer<P: Platform>(
    counter: &Counter<P>,
    metrics: &Metrics,
    settings: &Settings,
    head: &request::Parts,
) -> Answer {
    let path = head.uri.path();
    let known = matches!(
        path,
        "/" | "/visits" | "/visits.bin" | "/metrics" | "/healthz" | "/livez"
    );
    if !known && !is_favicon(path) {
        return Answer::line(StatusCode::NOT_FOUND, "nothing here: try /");
    }
    match head.method {
        Method::GET => get(counter, metrics, settings, head).await,
        Method::HEAD => get(counter, metrics, settings, head).await.without_body(),
        _ => Answer::method_not_allowed(),
    }
}

async fn get<P: Platform>(
    counter: &Counter<P>,
    metrics: &Metrics,
    settings: &Settings,
    head: &request::Parts,
) -> Answer {
    let pod = &settings.pod;
    match head.uri.path() {
        "/" => root(counter, settings, head).await,
        "/visits" => told(counter.current().await, |visits| match form(head) {
            Form::Page => number(Form::Text, pod, visits, None),
            form => number(form, pod, visits, None),
        }),
        "/visits.bin" => told(counter.current().await, |visits| {
            let bytes = record::encode(visits).to_vec();
            Answer::new(StatusCode::OK, "application/octet-stream", bytes)
        }),
        "/metrics" => told(counter.current().await, |visits| {
            let text = metrics.text(visits);
            Answer::new(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }),
        "/healthz" => match settings.refusal() {
            Some(refusal) => refusal,
            None => told(counter.probe().await, |()| {
                Answer::line(StatusCode::OK, "ready")
            }),
        },
        "/livez" => Answer::line(StatusCode::OK, "alive"),
        _ => Answer::new(StatusCode::OK, "image/svg+xml", page::FAVICON)
            .with(CACHE_CONTROL, "public, max-age=86400"),
    }
}

/// Answers `GET /`, and `HEAD /` but for the number: a visit is never counted for a mere look at the headers.
async fn root<P: Platform>(
    counter: &Counter<P>,
    settings: &Settings,
    head: &request::Parts,
) -> Answer {
    let (form, pod) = (form(head), &settings.pod);
    let vary = match settings.count_prefetch {
        Ok(true) => "accept",
        _ => prefetch::VARY,
    };
    let answer = match settings.refusal() {
        Some(refusal) => refusal,
        None if settings.count_prefetch == Ok(false) && prefetch::announced(&head.headers) => {
            prefetch::refusal()
        }
        None if head.method == Method::HEAD => number(form, pod, 0, None),
        None => visit(counter, pod, form).await,
    };
    answer.with(VARY, vary)
}

async fn visit<P: Platform>(counter: &Counter<P>, pod: &str, form: Form) -> Answer {
    match counter.visit().await {
        Ok(visits) => {
            let since = match form {
                Form::Page => counter.since().await,
                _ => None,
            };
            number(form, pod, visits, since)
        }
        Err(error) => refusal(error.borrow()),
    }
}

fn number(form: Form, pod: &str, visits: u64, since: Option<std::time::SystemTime>) -> Answer {
    match form {
        Form::Page => Page::new(visits, pod, since).answer(),
        Form::Json => {
            let json = serde_json::to_vec(&Told { visits, pod });
            let json = json.expect("a number and a string are JSON");
            Answer::new(StatusCode::OK, "application/json", json)
        }
        Form::Text => Answer::new(StatusCode::OK, TEXT, format!("{visits}\n")),
    }
    .with(VARY, "accept")
}

fn told<T>(result: CountResult<T>, answer: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => answer(value),
        Err(error) => refusal(&error),
    }
}

/// One plain line, whatever was accepted: it is read by people in a hurry and by scripts.
fn refusal(error: &CountError) -> Answer {
    match error.refusal {
        Refusal::NotACount => Answer::line(StatusCode::INTERNAL_SERVER_ERROR, error),
        Refusal::Unavailable => {
            Answer::line(StatusCode::SERVICE_UNAVAILABLE, error).with(RETRY_AFTER, "5")
        }
    }
}

fn form(head: &request::Parts) -> Form {
    let accepts = head.headers.get_all(ACCEPT).iter();
    let accepts: Vec<&str> = accepts.filter_map(|value| value.to_str().ok()).collect();
    Form::preferred(&accepts.join(","))
}

fn is_favicon(path: &str) -> bool {
    path.strip_prefix("/favicon.")
        .is_some_and(|suffix| !suffix.is_empty() && !suffix.contains('/'))
}
