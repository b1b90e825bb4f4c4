//! Components of WASI 0.2: an instance for each request, several at once.

use crate::common::has_logged;
use crate::sdks::{COMPILE, PYTHON_0_2, RUST, get_with};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use visits_tests::{DEADLINE, Host, Raw, get};

/// How many requests are answered at once.
const AT_ONCE: usize = 8;

/// How long a request has time to be sent that must not be.
const TOO_MANY: Duration = Duration::from_millis(300);

/// The component of each request sends one itself, to a server that lets it wait.
#[tokio::test]
async fn eight_requests_are_answered_at_once_and_others_wait() -> Result<()> {
    let slow = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", slow.local_addr()?);
    let app = RUST.app(&format!("allowed_outbound_hosts = [\"{url}\"]"))?;
    let host = RUST.start(&app).await?;
    let requests = (0..AT_ONCE + 2).map(|_| get_with(&host, "/outbound", ("x-url", &url)));
    let replies = futures::future::try_join_all(requests);
    let held = async {
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(accept(&slow).await?);
        }
        let one_more = timeout(TOO_MANY, slow.accept()).await;
        ensure!(
            one_more.is_err(),
            host.failed("a ninth request is answered at once")
        );
        for connection in &mut held {
            answer(connection).await?;
        }
        for _ in 0..2 {
            answer(&mut accept(&slow).await?).await?;
        }
        Ok(())
    };
    let (replies, ()) = tokio::try_join!(replies, held)?;
    for reply in replies {
        ensure!(reply.text() == "200 ", host.failed(&format!("{reply:?}")));
    }
    Ok(())
}

async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let accepted = timeout(DEADLINE, listener.accept()).await;
    Ok(accepted.context("too few requests are sent at once")??.0)
}

/// Reads the head of a request, and answers it.
async fn answer(connection: &mut TcpStream) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = timeout(DEADLINE, connection.read_buf(&mut head)).await;
        ensure!(read.context("no request is sent")?? > 0, "it was closed");
    }
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    Ok(connection.write_all(response).await?)
}

/// HTTP/1.0 has no `host` header, and libraries of WASI 0.2 expect an authority.
#[tokio::test]
async fn a_request_without_a_host_is_answered() -> Result<()> {
    let app = RUST.app("")?;
    let host = RUST.start(&app).await?;
    let mut connection = Raw::open(host.address()).await?;
    connection.write("GET /hello HTTP/1.0\r\n\r\n").await?;
    let reply = connection.read_to_end(DEADLINE).await?;
    ensure!(
        reply.starts_with("HTTP/1.0 200 ") && reply.ends_with("hello from rust\n"),
        host.failed(&reply)
    );
    Ok(())
}

/// An interpreter takes 15 MB, so six instances fit.
#[tokio::test]
async fn there_are_as_many_instances_as_the_memory_allows() -> Result<()> {
    every_request_is_answered("100MiB", &[12]).await
}

/// The instance that is made before its request comes has all the memory. It must get the request.
#[tokio::test]
async fn a_host_with_memory_for_one_instance_answers_every_request() -> Result<()> {
    every_request_is_answered("20MiB", &[1, 1, 1, 1, 40]).await
}

/// Sends as many requests at once as each of `batches` says, one batch after the other.
async fn every_request_is_answered(memory: &str, batches: &[usize]) -> Result<()> {
    let app = PYTHON_0_2.app("")?;
    let host = Host::of(&app).start_within(COMPILE);
    let host = host.arg(format!("--memory-limit={memory}")).start().await?;
    for at_once in batches {
        let replies = (0..*at_once).map(|_| get(host.address(), "/hello"));
        for reply in futures::future::try_join_all(replies).await? {
            ensure!(
                reply.text() == "hello from python\n",
                host.failed(&format!("{reply:?}"))
            );
        }
    }
    ensure!(
        !has_logged(&host, "no new instance"),
        host.failed("the host did not wait for an instance")
    );
    Ok(())
}

#[tokio::test]
async fn components_whose_first_instances_do_not_fit_together_are_refused_at_the_start()
-> Result<()> {
    let source = PYTHON_0_2.wasm()?;
    let another = format!(
        "[[trigger.http]]\nroute = \"/another\"\ncomponent = \"another\"\n\n\
         [component.another]\nsource = {source:?}\n"
    );
    let app = PYTHON_0_2.app(&another)?;
    let host = Host::of(&app).arg("--memory-limit=20MiB").spawn()?;
    let exit = host.wait_exit(COMPILE).await?;
    let error = host.stderr().lines().pop().unwrap_or_default();
    ensure!(
        exit.code == Some(1) && error.contains("bytes of memory beside"),
        host.failed("not refused for want of memory")
    );
    Ok(())
}

/// Each instance opens the component's directories, and only one is made before a request comes.
#[tokio::test]
async fn requests_are_refused_until_the_directory_is_back() -> Result<()> {
    let app = RUST.app("")?;
    let host = RUST.start(&app).await?;
    let moved = app.directory().join("moved");
    std::fs::rename(app.volume(), &moved)?;
    let first = get(host.address(), "/hello").await?;
    ensure!(first.status == 200, host.failed(&format!("{first:?}")));
    for _ in 0..16 {
        let reply = get(host.address(), "/hello").await?;
        ensure!(
            reply.status == 503 && reply.text() == "the component does not start; see the log\n",
            host.failed(&format!("{reply:?}"))
        );
    }
    std::fs::rename(&moved, app.volume())?;
    for _ in 0..16 {
        let reply = get(host.address(), "/hello").await?;
        ensure!(reply.status == 200, host.failed(&format!("{reply:?}")));
    }
    Ok(())
}

/// An instance that cannot be made before its request comes takes no request that another could answer.
#[tokio::test]
async fn a_failed_start_refuses_no_later_request() -> Result<()> {
    let app = RUST.app("")?;
    let host = RUST.start(&app).await?;
    let moved = app.directory().join("moved");
    std::fs::rename(app.volume(), &moved)?;
    let first = get(host.address(), "/hello").await?;
    ensure!(first.status == 200, host.failed(&format!("{first:?}")));
    host.wait_log("no new instance of the component").await?;
    std::fs::rename(&moved, app.volume())?;
    for _ in 0..16 {
        let reply = get(host.address(), "/hello").await?;
        ensure!(reply.status == 200, host.failed(&format!("{reply:?}")));
    }
    Ok(())
}
