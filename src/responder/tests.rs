//! Every route, method and form, on the simulated volume.

use super::Responder;
use crate::config::Config;
use crate::page::FAVICON;
use crate::prefetch;
use crate::protocol::directory::FsErrorKind;
use crate::protocol::simulated::disk::ROOT;
use crate::protocol::simulated::{Simulated, World};
use crate::response::Response;
use crate::route::Route;
use futures::executor::LocalPool;
use http::{Request, StatusCode};
use std::rc::Rc;

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW",
];

/// A request by `GET` on a volume with 3 visits, and what the response holds.
struct Example {
    path: &'static str,
    accept: &'static str,
    content_type: &'static str,
    body: Body,
}

/// What an example's body is, or contains.
enum Body {
    Is(&'static [u8]),
    Contains(&'static str),
}
use Body::{Contains, Is};

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const fn example(
    path: &'static str,
    accept: &'static str,
    content_type: &'static str,
    body: Body,
) -> Example {
    Example {
        path,
        accept,
        content_type,
        body,
    }
}

/// Returns the examples of a route. A new route does not compile without its own.
fn examples(route: Route) -> Vec<Example> {
    let json = "application/json";
    match route {
        Route::Root => vec![
            example("/", "*/*", TEXT, Is(b"4\n")),
            example("/", json, json, Is(br#"{"visits":4,"pod":"visits-0"}"#)),
            example("/", "text/html", HTML, Contains(r#"value="4""#)),
        ],
        Route::Visits => vec![
            example("/visits", "*/*", TEXT, Is(b"3\n")),
            example(
                "/visits",
                json,
                json,
                Is(br#"{"visits":3,"pod":"visits-0"}"#),
            ),
            example("/visits", "text/html", TEXT, Is(b"3\n")),
        ],
        Route::VisitsBin => vec![example(
            "/visits.bin",
            "*/*",
            "application/octet-stream",
            Is(&[3, 0, 0, 0, 0, 0, 0, 0]),
        )],
        Route::Metrics => vec![example(
            "/metrics",
            "*/*",
            "text/plain; version=0.0.4",
            Contains("\nvisits_total 3\n"),
        )],
        Route::Healthz => vec![example("/healthz", "text/html", TEXT, Is(b"ready\n"))],
        Route::Livez => vec![example("/livez", "text/html", TEXT, Is(b"alive\n"))],
        Route::Favicon => vec![
            example(
                "/favicon.svg",
                "*/*",
                "image/svg+xml",
                Is(FAVICON.as_bytes()),
            ),
            example(
                "/favicon.ico",
                "*/*",
                "image/svg+xml",
                Is(FAVICON.as_bytes()),
            ),
        ],
    }
}

/// An instance on a volume of its own.
struct Instance {
    world: World,
    pool: LocalPool,
    responder: Rc<Responder<Simulated>>,
}

impl Instance {
    /// Starts on a volume that something else has left 3 visits on.
    fn start(count_prefetch: Result<bool, String>) -> Self {
        let world = World::new(1);
        world.with(|state| {
            let file = state.disk.open_file(ROOT, "visits.bin", true).unwrap();
            state.disk.write_to(file, &[3]).unwrap();
        });
        let config = Config {
            pod: "visits-0".into(),
            count_prefetch,
        };
        Instance {
            responder: Rc::new(Responder::new(world.platform(), config)),
            pool: LocalPool::new(),
            world,
        }
    }

    fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let responder = self.responder.clone();
        let respond = async move { responder.respond(&head).await };
        self.world.complete(&mut self.pool, respond)
    }

    fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[])
    }

    fn count(&mut self) -> String {
        text(&self.get("/visits"))
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[test]
fn every_route_responds_to_get_in_every_form() {
    for route in Route::ALL {
        let examples = examples(route);
        assert!(!examples.is_empty(), "{route:?} has no example");
        for Example {
            path,
            accept,
            content_type,
            body,
        } in examples
        {
            assert_eq!(Route::parse(path), Some(route), "{path}");
            let response = Instance::start(Ok(false)).request("GET", path, &[("accept", accept)]);
            let what = format!("{path}, {accept}: {response:?}");
            assert_eq!(response.status(), StatusCode::OK, "{what}");
            assert_eq!(header(&response, "content-type"), content_type, "{what}");
            match body {
                Is(expected) => assert_eq!(response.body(), expected, "{what}"),
                Contains(part) => assert!(text(&response).contains(part), "{what}"),
            }
            let length = response.body().len().to_string();
            assert_eq!(header(&response, "content-length"), length, "{what}");
            let caching = match route {
                Route::Favicon => "public, max-age=86400",
                _ => "no-store",
            };
            assert_eq!(header(&response, "cache-control"), caching, "{what}");
        }
    }
}

#[test]
fn head_has_the_headers_of_get_and_neither_body_nor_length() {
    for example in Route::ALL.into_iter().flat_map(examples) {
        let accept = [("accept", example.accept)];
        let mut get = Instance::start(Ok(false)).request("GET", example.path, &accept);
        let head = Instance::start(Ok(false)).request("HEAD", example.path, &accept);
        get.headers_mut().remove("content-length");
        assert_eq!(head.status(), get.status(), "{}", example.path);
        assert_eq!(head.headers(), get.headers(), "{}", example.path);
        assert!(head.body().is_empty(), "{}", example.path);
    }
}

#[test]
fn every_route_refuses_every_other_method() {
    let mut instance = Instance::start(Ok(false));
    for example in Route::ALL.into_iter().flat_map(examples) {
        for method in &METHODS[2..] {
            let response = instance.request(method, example.path, &[]);
            assert_eq!(response.status(), 405, "{method} {}", example.path);
            assert_eq!(header(&response, "allow"), "GET, HEAD");
            assert_eq!(text(&response).lines().count(), 1);
        }
    }
    assert_eq!(instance.count(), "3\n");
}

#[test]
fn any_other_path_is_not_found_by_any_method() {
    let mut instance = Instance::start(Ok(false));
    for path in [
        "/nothing",
        "//",
        "/visits/",
        "/VISITS",
        "/visits.bin/",
        "/visits.bin.bak",
        "/healthz/",
        "/favicon",
        "/favicon.",
        "/favicon.a/b",
        "/x/favicon.ico",
    ] {
        assert_eq!(Route::parse(path), None, "{path}");
        for method in METHODS {
            let response = instance.request(method, path, &[]);
            assert_eq!(response.status(), 404, "{method} {path}");
        }
    }
    assert_eq!(instance.count(), "3\n");
}

#[test]
fn only_get_of_the_root_counts() {
    for example in Route::ALL.into_iter().flat_map(examples) {
        for method in METHODS {
            let mut instance = Instance::start(Ok(false));
            instance.request(method, example.path, &[("accept", example.accept)]);
            let counts = method == "GET" && Route::parse(example.path) == Some(Route::Root);
            let expected = if counts { "4\n" } else { "3\n" };
            assert_eq!(instance.count(), expected, "{method} {}", example.path);
        }
    }
}

#[test]
fn a_query_does_not_change_the_route() {
    let mut instance = Instance::start(Ok(false));
    assert_eq!(text(&instance.get("/?a=b")), "4\n");
    assert_eq!(text(&instance.get("/visits?/livez")), "4\n");
}

#[test]
fn a_prefetch_is_refused_uncounted_unless_it_is_configured_to_count() {
    let prefetch = [("sec-purpose", "prefetch")];
    for method in ["GET", "HEAD"] {
        let mut instance = Instance::start(Ok(false));
        let response = instance.request(method, "/", &prefetch);
        assert_eq!(response.status(), 503, "{method}");
        assert_eq!(header(&response, "retry-after"), "5", "{method}");
        assert_eq!(header(&response, "vary"), prefetch::VARY, "{method}");
        assert_eq!(instance.count(), "3\n", "{method}");
        assert_eq!(instance.request(method, "/visits", &prefetch).status(), 200);
    }
    let mut instance = Instance::start(Ok(true));
    let response = instance.request("GET", "/", &prefetch);
    assert_eq!(
        (text(&response), header(&response, "vary")),
        ("4\n".into(), "accept")
    );
}

#[test]
fn an_unusable_variable_refuses_visits_and_probes_alone() {
    let mut instance = Instance::start(Err("unusable".into()));
    for route in Route::ALL {
        for example in examples(route) {
            let response = instance.get(example.path);
            match route {
                Route::Root | Route::Healthz => {
                    assert_eq!(response.status(), 500, "{route:?}");
                    assert_eq!(text(&response), "unusable\n", "{route:?}");
                }
                _ => assert_eq!(response.status(), 200, "{route:?}"),
            }
        }
    }
    assert_eq!(instance.count(), "3\n");
}

#[test]
fn a_volume_that_refuses_gives_503_and_bytes_that_are_not_a_count_500() {
    for (status, retry_after) in [(503, "5"), (500, "")] {
        let mut instance = Instance::start(Ok(false));
        instance.world.with(|state| match status {
            503 => state.faults.push(("read", FsErrorKind::Denied)),
            _ => {
                let file = state.disk.open_file(ROOT, "visits.bin", true).unwrap();
                state.disk.write_to(file, b"one hundred").unwrap();
            }
        });
        for route in Route::ALL {
            for example in examples(route) {
                let response = instance.request("GET", example.path, &[("accept", example.accept)]);
                match route {
                    Route::Livez | Route::Favicon => {
                        assert_eq!(response.status(), 200, "{route:?}");
                    }
                    _ => {
                        assert_eq!(response.status(), status, "{route:?}");
                        assert_eq!(header(&response, "content-type"), TEXT, "{route:?}");
                        assert_eq!(header(&response, "retry-after"), retry_after);
                        let line = text(&response);
                        assert!(line.contains("visits.bin"), "{route:?}: {line}");
                        assert_eq!(line.lines().count(), 1, "{route:?}: {line}");
                    }
                }
            }
        }
    }
}
