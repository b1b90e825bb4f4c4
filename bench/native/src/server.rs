//! Connections: HTTP/1.1 with keep-alive, each a task of the one thread.

use crate::service::Service;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::task::spawn_local;

/// Serves every connection until accepting one fails.
pub(crate) async fn serve(listener: TcpListener, service: Service) -> Result<()> {
    let service = Rc::new(service);
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .context("cannot accept a connection")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        let service = service.clone();
        let respond = service_fn(move |request| respond(service.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
        spawn_local(async move {
            // An error is the client's, which counts it.
            let _ = connection.await;
        });
    }
}

/// Responds to one request. Its body is not read.
async fn respond(
    service: Rc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, _body) = request.into_parts();
    Ok(service.respond(&head).await.map(Full::new))
}

#[cfg(test)]
mod tests {
    use super::serve;
    use crate::service::{Mode, Service};
    use anyhow::Result;
    use std::path::Path;
    use tokio::net::TcpListener;
    use tokio::task::{LocalSet, spawn_local};
    use visits_tests::get;
    use visits_tests::load::{assert_exactly, visits, visits_bin};

    const CLIENTS: u64 = 32;
    const EACH: u64 = 20;

    /// Starts a server of this mode, and lets 32 clients visit it. Returns their numbers.
    async fn visited(mode: Mode, directory: &Path) -> Result<Vec<u64>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = Service::new(mode, directory)?;
        let clients = async {
            let server = spawn_local(serve(listener, service));
            let numbers = visits(address, CLIENTS, EACH).await;
            server.abort();
            numbers
        };
        LocalSet::new().run_until(clients).await
    }

    #[tokio::test]
    async fn each_of_32_clients_visits_gets_a_number_of_its_own_across_a_restart() -> Result<()> {
        for mode in [Mode::Visits, Mode::Fsync] {
            let directory = tempfile::tempdir()?;
            let mut numbers = visited(mode, directory.path()).await?;
            numbers.extend(visited(mode, directory.path()).await?);
            let last = 2 * CLIENTS * EACH;
            assert_exactly(numbers, 1, last);
            assert_eq!(visits_bin(directory.path())?, last, "{mode:?}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn hello_is_answered_with_its_length() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = Service::new(Mode::Hello, directory.path())?;
        let client = async {
            spawn_local(serve(listener, service));
            get(address, "/").await
        };
        let reply = LocalSet::new().run_until(client).await?;
        assert_eq!(reply.text(), "hello\n");
        assert_eq!(reply.header("content-length"), "6");
        Ok(())
    }
}
