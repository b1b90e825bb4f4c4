//! A component's invalid response is reported to the client in one line, and in the log with its request and reason.

use crate::common::{has_replaced_an_instance, probe};
use anyhow::{Result, ensure};
use visits_tests::{Connection, DEADLINE, Raw, get};

#[tokio::test]
async fn an_invalid_response_is_a_500_and_a_log_line_with_its_reason() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    for (kind, reason) in [
        ("short", "body"),
        ("status", "103"),
        ("error", "asked to fail"),
        ("forbidden", "orbidden"),
    ] {
        let path = format!("/invalid?kind={kind}");
        let reply = get(host.address(), &path).await?;
        ensure!(
            reply.status == 500 && reply.text() == "the component failed; see the log\n",
            host.failed(&format!("{kind}: {reply:?}"))
        );
        let named = |line: &str| {
            let log: serde_json::Value = serde_json::from_str(line).ok()?;
            let fields = &log["fields"];
            let matches = fields["message"] == "the component's response is invalid"
                && fields["method"] == "GET"
                && fields["path"] == "/invalid"
                && fields["error"].as_str()?.contains(reason);
            matches.then_some(())
        };
        let found = host.stderr().find(DEADLINE, named).await;
        ensure!(
            found.is_some(),
            host.failed(&format!("{kind}: no log line with {reason:?}"))
        );
    }
    ensure!(
        !has_replaced_an_instance(&host),
        host.failed("the instance was replaced")
    );
    Ok(())
}

#[tokio::test]
async fn a_body_that_ends_too_early_does_not_look_complete() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let mut connection = Raw::open(host.address()).await?;
    connection
        .write("GET /invalid?kind=long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await?;
    let reply = connection.read_to_end(DEADLINE).await?;
    // The host refuses the response if it knows the body's end before it starts to send, and tears it otherwise. hyper
    // drops what it has not sent by then.
    let refused = reply.starts_with("HTTP/1.1 500") && reply.ends_with("see the log\n");
    let torn = reply.contains("content-length: 50") && reply.ends_with("ten bytes\n");
    ensure!(refused || torn || reply.is_empty(), "{reply:?}");
    host.wait_log("the component's response is invalid").await?;
    let mut next = Connection::open(host.address()).await?;
    ensure!(next.get("/hello").await?.status == 200);
    Ok(())
}
