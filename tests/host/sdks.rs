//! Components of other SDKs, built from registry packages: for WASI 0.2 and 0.3, in three languages. Each imports
//! interfaces that the host lacks, and all run the same tests.

use anyhow::{Result, ensure};
use http::{Method, Request};
use std::path::PathBuf;
use std::time::Duration;
use visits_tests::client::{empty, full};
use visits_tests::{App, Connection, DEADLINE, Host, Reply, artifacts, get};

/// How long a host may take to compile an interpreter while other hosts do the same.
pub(crate) const COMPILE: Duration = Duration::from_secs(240);

/// A component in tests/guests/sdks.
#[derive(Clone, Copy)]
pub(crate) struct Sdk {
    name: &'static str,
    /// The language in its responses.
    language: &'static str,
    /// An interface that it imports and the host lacks.
    lacking: &'static str,
}

pub(crate) const RUST: Sdk = Sdk {
    name: "rust-5",
    language: "rust",
    lacking: "fermyon:spin/key-value@2.0.0",
};

pub(crate) const PYTHON_0_2: Sdk = Sdk {
    name: "python-3",
    language: "python",
    lacking: "fermyon:spin/key-value@2.0.0",
};

const PYTHON_0_3: Sdk = Sdk {
    name: "python-5",
    language: "python",
    lacking: "spin:key-value/key-value@3.0.0",
};

const JAVASCRIPT: Sdk = Sdk {
    name: "javascript-1",
    language: "javascript",
    lacking: "",
};

impl Sdk {
    pub(crate) fn app(self, lines: &str) -> Result<App> {
        App::with_manifest_lines(&self.wasm()?, lines)
    }

    /// Returns the path of the component.
    pub(crate) fn wasm(self) -> Result<PathBuf> {
        artifacts::sdk_wasm(self.name)
    }

    pub(crate) async fn start(self, app: &App) -> Result<Host> {
        Host::of(app).start_within(COMPILE).start().await
    }
}

pub(crate) async fn get_with(host: &Host, path: &str, header: (&str, &str)) -> Result<Reply> {
    let request = Request::get(path).header(header.0, header.1);
    let mut connection = Connection::open(host.address()).await?;
    connection.call(request.body(empty())?).await
}

/// Asserts that the component answers, sees a header and the path, and echoes a body.
async fn answers(sdk: Sdk) -> Result<()> {
    let app = sdk.app("")?;
    let host = sdk.start(&app).await?;
    let hello = get(host.address(), "/hello").await?;
    let expected = format!("hello from {}\n", sdk.language);
    ensure!(
        hello.status == 200 && hello.text() == expected,
        host.failed(&format!("{hello:?}"))
    );
    ensure!(hello.headers["content-type"] == "text/plain", "{hello:?}");
    let header = get_with(&host, "/header?a=b", ("x-colour", "blue")).await?;
    ensure!(header.text() == "/header a=b blue\n", "{header:?}");
    ensure!(get(host.address(), "/nowhere").await?.status == 404);
    let body = "a body ".repeat(20_000);
    let request = Request::builder().method(Method::POST).uri("/echo");
    let mut connection = Connection::open(host.address()).await?;
    let echo = connection.call(request.body(full(body.clone()))?).await?;
    ensure!(
        echo.status == 200 && echo.text() == body,
        "{} with {} bytes",
        echo.status,
        echo.body.len()
    );
    let failed = |line: &String| line.contains("\"ERROR\"");
    ensure!(
        !host.stderr().lines().iter().any(failed),
        host.failed("the host logs an error")
    );
    Ok(())
}

/// Asserts that the component can send requests only to hosts that the manifest names.
async fn sends(sdk: Sdk) -> Result<()> {
    let hello = App::new(&artifacts::hello_wasm()?)?;
    let other = Host::of(&hello).start().await?;
    let url = other.url();
    let app = sdk.app(&format!("allowed_outbound_hosts = [\"{url}\"]"))?;
    let host = sdk.start(&app).await?;
    let allowed = get_with(&host, "/outbound", ("x-url", &url)).await?;
    ensure!(
        allowed.text() == "200 hello\n",
        host.failed(&format!("{allowed:?}"))
    );
    let app = sdk.app("")?;
    let host = sdk.start(&app).await?;
    let denied = get_with(&host, "/outbound", ("x-url", &url)).await?;
    ensure!(
        denied.status.is_server_error() && !denied.text().contains("hello"),
        "{denied:?}"
    );
    Ok(())
}

/// Asserts that the volume contains a file that the component writes.
async fn writes(sdk: Sdk) -> Result<()> {
    let app = sdk.app("")?;
    let host = sdk.start(&app).await?;
    let reply = get(host.address(), "/write").await?;
    let expected = format!("by {}\n", sdk.language);
    ensure!(reply.text() == expected, host.failed(&format!("{reply:?}")));
    ensure!(std::fs::read_to_string(app.volume().join("written"))? == expected);
    Ok(())
}

/// Asserts that the lacking imports are logged once and sorted. A call of one fails its request, and the log names it.
async fn lacks(sdk: Sdk) -> Result<()> {
    let app = sdk.app("")?;
    let host = sdk.start(&app).await?;
    let log = host
        .wait_log("imports what this host does not have")
        .await?;
    let imports: Vec<_> = log["fields"]["imports"]
        .as_str()
        .unwrap_or_default()
        .split(", ")
        .collect();
    ensure!(imports.contains(&sdk.lacking), "{log}");
    ensure!(imports.is_sorted(), "{log}");
    let here = |import: &&str| {
        import.starts_with("wasi:http/types@0.2.") || import.starts_with("wasi:io/")
    };
    ensure!(!imports.iter().any(here), "{log}");
    let refused = get(host.address(), "/key-value").await?;
    ensure!(
        refused.status == 500 && refused.text().lines().count() == 1,
        host.failed(&format!("{refused:?}"))
    );
    let called = format!("the component called {}#", sdk.lacking);
    let named = |line: &str| line.contains(&called).then_some(());
    if host.stderr().find(DEADLINE, named).await.is_none() {
        return Err(host.failed("the log does not name the import"));
    }
    let next = get(host.address(), "/hello").await?;
    ensure!(next.status == 200, "{next:?}");
    let lists = |line: &String| line.contains("imports what this host does not have");
    ensure!(
        host.stderr()
            .lines()
            .iter()
            .filter(|line| lists(line))
            .count()
            == 1
    );
    Ok(())
}

#[tokio::test]
async fn a_rust_component_of_wasi_0_2_answers() -> Result<()> {
    answers(RUST).await
}

#[tokio::test]
async fn a_rust_component_of_wasi_0_2_sends_only_where_the_manifest_allows() -> Result<()> {
    sends(RUST).await
}

#[tokio::test]
async fn a_rust_component_of_wasi_0_2_writes_to_the_volume() -> Result<()> {
    writes(RUST).await
}

#[tokio::test]
async fn a_rust_component_of_wasi_0_2_runs_until_it_calls_a_lacking_import() -> Result<()> {
    lacks(RUST).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_2_answers() -> Result<()> {
    answers(PYTHON_0_2).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_2_sends_only_where_the_manifest_allows() -> Result<()> {
    sends(PYTHON_0_2).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_2_writes_to_the_volume() -> Result<()> {
    writes(PYTHON_0_2).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_2_runs_until_it_calls_a_lacking_import() -> Result<()> {
    lacks(PYTHON_0_2).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_3_answers() -> Result<()> {
    answers(PYTHON_0_3).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_3_sends_only_where_the_manifest_allows() -> Result<()> {
    sends(PYTHON_0_3).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_3_writes_to_the_volume() -> Result<()> {
    writes(PYTHON_0_3).await
}

#[tokio::test]
async fn a_python_component_of_wasi_0_3_runs_until_it_calls_a_lacking_import() -> Result<()> {
    lacks(PYTHON_0_3).await
}

#[tokio::test]
async fn a_javascript_component_of_wasi_0_2_answers() -> Result<()> {
    answers(JAVASCRIPT).await
}

#[tokio::test]
async fn a_javascript_component_of_wasi_0_2_sends_only_where_the_manifest_allows() -> Result<()> {
    sends(JAVASCRIPT).await
}
