//! A prefetch is not a visit, unless an operator configures it as one.

use crate::counter;
use anyhow::Result;
use http::Request;
use visits_tests::client::empty;
use visits_tests::{App, Connection, DEADLINE, Host, Reply, artifacts, get};

const PREFETCHES: [(&str, &str); 7] = [
    ("sec-purpose", "prefetch"),
    ("sec-purpose", "prefetch;prerender"),
    ("sec-purpose", "prefetch;anonymous-client-ip"),
    ("purpose", "prefetch"),
    ("x-moz", "prefetch"),
    ("x-purpose", "preview"),
    ("x-purpose", "prefetch"),
];

const VARY: &str = "accept, sec-purpose, purpose, x-moz, x-purpose";

async fn call(client: &mut Connection, method: &str, header: (&str, &str)) -> Result<Reply> {
    let request = Request::builder().method(method).uri("/");
    let request = request.header(header.0, header.1);
    client.call(request.body(empty())?).await
}

#[tokio::test]
async fn a_prefetch_gets_503_and_is_not_counted() -> Result<()> {
    // Without the startup check, which makes a directory on an empty volume and removes it at once.
    let app = App::new(&artifacts::visits_wasm()?)?;
    let host = Host::of(&app).start().await?;
    let mut client = Connection::open(host.address()).await?;
    for header in PREFETCHES {
        for method in ["GET", "HEAD"] {
            let reply = call(&mut client, method, header).await?;
            assert_eq!(reply.status, 503, "{method} {header:?}: {}", reply.text());
            assert_eq!(reply.header("retry-after"), "5", "{header:?}");
            assert_eq!(reply.header("vary"), VARY, "{header:?}");
            assert_eq!(reply.header("cache-control"), "no-store", "{header:?}");
            let lines = usize::from(method == "GET");
            assert_eq!(reply.text().lines().count(), lines, "{header:?}");
        }
    }
    assert_eq!(std::fs::read_dir(app.volume())?.count(), 0, "counted");
    // Other paths never count, so they respond to a prefetch.
    for path in ["/visits", "/healthz", "/livez"] {
        let request = Request::get(path).header("sec-purpose", "prefetch");
        assert_eq!(client.call(request.body(empty())?).await?.status, 200);
    }
    let reply = call(&mut client, "GET", ("sec-purpose", "navigate")).await?;
    assert_eq!((reply.text(), reply.header("vary")), ("1\n", VARY));
    Ok(())
}

#[tokio::test]
async fn count_prefetch_makes_prefetches_count() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app)
        .arg("--env=COUNT_PREFETCH=true")
        .start()
        .await?;
    let mut client = Connection::open(host.address()).await?;
    for (header, number) in PREFETCHES.into_iter().zip(1..) {
        let reply = call(&mut client, "GET", header).await?;
        assert_eq!(reply.text(), format!("{number}\n"), "{header:?}");
        assert_eq!(reply.header("vary"), "accept", "{header:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_count_prefetch_that_is_neither_true_nor_false_is_reported() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app)
        .arg("--env=COUNT_PREFETCH=yes")
        .start()
        .await?;
    let line = "cannot use the variable COUNT_PREFETCH=\"yes\": set it to true or false";
    for path in ["/", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 500, "{path}: {}", reply.text());
        assert_eq!(reply.text().trim_end(), line, "{path}");
    }
    assert_eq!(get(host.address(), "/livez").await?.status, 200);
    assert_eq!(std::fs::read_dir(app.volume())?.count(), 0, "counted");
    let logged = |it: &str| (it == line).then_some(());
    let found = host.stderr().find(DEADLINE, logged).await;
    found.ok_or_else(|| host.failed("no line in the log"))
}
