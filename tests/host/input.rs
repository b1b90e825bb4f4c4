//! Bad input. The host refuses it with one line on stderr that names it and an exit code other than 0, and does not
//! touch the volume.

use crate::common::refusal;
use anyhow::{Result, ensure};
use std::path::Path;
use visits_tests::handwritten::component_importing;
use visits_tests::{App, Host, HostBuilder, artifacts};

const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Returns an application whose volume contains one file, so that any change shows.
fn app() -> Result<App> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    std::fs::write(app.volume().join("keep"), "as it was")?;
    Ok(app)
}

fn volume(app: &App) -> Result<Vec<(std::ffi::OsString, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(app.volume())? {
        let entry = entry?;
        files.push((entry.file_name(), std::fs::read(entry.path())?));
    }
    Ok(files)
}

/// Asserts that the host refuses to start with one line that contains every one of `says`.
async fn assert_refused(app: &App, host: HostBuilder, code: i32, says: &[&str]) -> Result<()> {
    let before = volume(app)?;
    let line = refusal(host, code).await?;
    for text in says {
        ensure!(line.contains(text), "no {text:?} in {line:?}");
    }
    ensure!(volume(app)? == before, "the host touched the volume");
    Ok(())
}

/// Asserts the same for an application whose manifest was changed.
async fn assert_manifest_refused(from: &str, to: &str, says: &[&str]) -> Result<()> {
    let app = app()?;
    let text = std::fs::read_to_string(app.manifest())?;
    ensure!(text.contains(from), "the manifest has no {from:?}");
    std::fs::write(app.manifest(), text.replacen(from, to, 1))?;
    assert_refused(&app, Host::of(&app), 1, says).await
}

/// Asserts the same for an application whose component is this file.
async fn assert_component_refused(wasm: &[u8], says: &[&str]) -> Result<()> {
    let app = app()?;
    let path = app.directory().join("bad.wasm");
    std::fs::write(&path, wasm)?;
    visits_tests::write_manifest(app.directory(), Path::new("bad.wasm"), "")?;
    let named = path.display().to_string();
    assert_refused(&app, Host::of(&app), 1, &[&[named.as_str()], says].concat()).await
}

#[tokio::test]
async fn a_missing_manifest_is_named() -> Result<()> {
    let app = app()?;
    let missing = app.directory().join("nowhere.toml");
    let named = missing.display().to_string();
    assert_refused(
        &app,
        HostBuilder::new(&missing),
        1,
        &[&named, "No such file"],
    )
    .await
}

#[tokio::test]
async fn bad_toml_is_named_with_its_line() -> Result<()> {
    assert_manifest_refused("name = \"app\"", "name = app", &["spin.toml:4: "]).await
}

#[tokio::test]
async fn an_unsupported_key_is_named_with_its_line() -> Result<()> {
    assert_manifest_refused(
        "name = \"app\"",
        "name = \"app\"\nlogo = \"x\"",
        &["spin.toml:5: ", "`logo`"],
    )
    .await
}

#[tokio::test]
async fn a_missing_directory_is_named() -> Result<()> {
    assert_manifest_refused(
        "\"persistent\"",
        "\"absent\"",
        &["absent", "/app/persistent"],
    )
    .await
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_is_named() -> Result<()> {
    assert_manifest_refused(
        "\"persistent\"",
        "\"spin.toml\"",
        &["spin.toml", "not a directory"],
    )
    .await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_interface_of_the_kernel_in_place_of_a_directory_is_named() -> Result<()> {
    assert_manifest_refused(
        "\"persistent\"",
        "\"/proc\"",
        &["/proc: a proc file system"],
    )
    .await?;
    assert_manifest_refused("\"persistent\"", "\"/sys\"", &["/sys: a sysfs file system"]).await?;
    assert_manifest_refused("\"persistent\"", "\"/\"", &["/: a ", "is mounted at /"]).await
}

#[tokio::test]
async fn a_missing_component_is_named() -> Result<()> {
    assert_manifest_refused(
        "probe.wasm",
        "absent.wasm",
        &["absent.wasm", "No such file"],
    )
    .await
}

#[tokio::test]
async fn a_file_that_is_not_wasm_is_refused() -> Result<()> {
    assert_component_refused(b"#!/bin/sh\n", &["not a WebAssembly component"]).await?;
    assert_component_refused(b"", &["not a WebAssembly component"]).await
}

#[tokio::test]
async fn a_torn_component_is_refused() -> Result<()> {
    let whole = std::fs::read(artifacts::probe_wasm()?)?;
    assert_component_refused(&whole[..whole.len() / 2], &["not a valid component"]).await
}

#[tokio::test]
async fn a_core_module_is_refused_with_a_remedy() -> Result<()> {
    assert_component_refused(
        CORE_MODULE,
        &["a core module, not a component", "wasm32-wasip2"],
    )
    .await
}

#[tokio::test]
async fn a_component_without_an_http_handler_is_refused() -> Result<()> {
    assert_component_refused(b"\0asm\x0d\0\x01\0", &["wasi:http/handler"]).await
}

#[tokio::test]
async fn a_release_candidate_is_refused_with_the_required_version() -> Result<()> {
    let cases = [
        ("wasi:http/handler@0.3.0-rc-2026-03-15", "@0.3.0,"),
        (
            "wasi:http/incoming-handler@0.2.0-rc-2023-11-10",
            "@0.2.0 or",
        ),
    ];
    for (export, needed) in cases {
        let wasm = component_importing("a:b/c", export);
        assert_component_refused(&wasm, &[export, "a release candidate", needed]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_of_spin_1_and_a_command_are_refused_with_the_required_interface() -> Result<()> {
    let cases = [
        ("fermyon:spin/inbound-http", "the handler of Spin 1"),
        ("wasi:cli/run@0.2.0", "the component is a command"),
    ];
    for (export, says) in cases {
        let wasm = component_importing("a:b/c", export);
        assert_component_refused(&wasm, &[export, says, "wasi:http/handler@0.3.0"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_with_another_type_is_refused() -> Result<()> {
    for export in [
        "wasi:http/handler@0.3.0",
        "wasi:http/incoming-handler@0.2.0",
    ] {
        let wasm = component_importing("fermyon:spin/sqlite@2.0.0", export);
        assert_component_refused(&wasm, &["in another form", "handle"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() -> Result<()> {
    let app = app()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let named = address.to_string();
    assert_refused(
        &app,
        Host::of(&app).listen(address),
        1,
        &[&named, "in use", "--listen"],
    )
    .await
}

#[tokio::test]
async fn more_connections_than_the_limit_of_open_files_are_refused() -> Result<()> {
    let app = app()?;
    let host = Host::of(&app)
        .shell("ulimit -n 300")
        .arg("--max-connections=100");
    let says = [
        "100 connections",
        "300",
        "ulimit -n 356",
        "--max-connections 44",
    ];
    assert_refused(&app, host, 1, &says).await
}

#[tokio::test]
async fn a_source_that_the_manifest_lacks_is_named() -> Result<()> {
    let app = app()?;
    let host = Host::of(&app).arg("--source").arg("other=/tmp");
    assert_refused(
        &app,
        host,
        1,
        &["--source other", "no files with the source \"other\""],
    )
    .await
}

#[tokio::test]
async fn a_malformed_command_line_is_refused_in_one_line_with_exit_code_2() -> Result<()> {
    let cases: [(&[&str], &str); 10] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--memory-limit", "lots"], "--memory-limit"),
        (&["--memory-limit", "1"], "64.0 KiB"),
        (&["--request-timeout", "30"], "--request-timeout"),
        (&["--drain-timeout", "0s"], "1ms"),
        (&["--max-connections", "0"], "--max-connections"),
        (&["--env", "NOVALUE"], "NAME=VALUE"),
        (&["--startup-check", "healthz"], "/healthz"),
        (&["--access-log=maybe"], "--access-log"),
        (&["second.toml"], "second.toml"),
    ];
    let app = app()?;
    for (arguments, says) in cases {
        let host = Host::of(&app).args(arguments.iter().copied());
        assert_refused(&app, host, 2, &[says]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_address_in_the_environment_is_refused() -> Result<()> {
    let app = app()?;
    for address in ["localhost", "127.0.0.1", "127.0.0.1:99999", ":80", ""] {
        let mut command = std::process::Command::new(artifacts::preopen()?);
        command
            .arg(app.manifest())
            .env("SPIN_HTTP_LISTEN_ADDR", address);
        let output = command.output()?;
        let error = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.code() == Some(2),
            "{address:?}: {:?}: {error}",
            output.status
        );
        ensure!(
            error.lines().count() == 1 && error.contains("--listen"),
            "{address:?}: {error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_refused() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let app = app()?;
    let cache = app.directory().join("cache");
    std::fs::create_dir(&cache)?;
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777))?;
    let named = cache.display().to_string();
    let host = Host::of(&app)
        .without_shared_cache()
        .arg("--cache-dir")
        .arg(cache);
    assert_refused(&app, host, 1, &[&named, "writable by that user alone"]).await
}

#[tokio::test]
async fn help_and_version_are_printed() -> Result<()> {
    let run = |flag| {
        std::process::Command::new(artifacts::preopen()?)
            .arg(flag)
            .output()
            .map_err(anyhow::Error::from)
    };
    let help = run("--help")?;
    let text = String::from_utf8(help.stdout)?;
    ensure!(help.status.success());
    for explained in [
        "Examples:",
        "SPIN_HTTP_LISTEN_ADDR",
        "128MiB",
        "Units",
        "SOURCE=DIR",
        "[default: 25s]",
    ] {
        ensure!(
            text.contains(explained),
            "--help does not explain {explained:?}:\n{text}"
        );
    }
    let version = run("--version")?;
    ensure!(version.status.success() && version.stdout.starts_with(b"preopen "));
    Ok(())
}
