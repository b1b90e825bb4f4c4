//! Changes that containerd rejects are undone, and an interrupted installation is finished by the next one.

use crate::layout::{Containerd, Layout, VERSION_2, VERSION_3};
use crate::node::Node;
use crate::script::{SHIM, Script};
use anyhow::{Context, Result};
use std::fs;
use std::process::Stdio;
use visits_tests::{DEADLINE, wait};

const CONFIG: &str = "/etc/containerd/config.toml";

#[tokio::test]
#[ignore = "needs root"]
async fn a_file_that_the_runtime_would_make_invalid_is_restored() -> Result<()> {
    // An inline table cannot be extended.
    let config = format!(
        "{VERSION_2}\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    \
         runtimes = {{ runc = {{ runtime_type = \"io.containerd.runc.v2\" }} }}\n"
    );
    let node = Node::start(Layout::vanilla(Containerd::Current, &config)).await?;
    let before = node.files()?;
    let error = Script::new()?.run(&node, &["install"]).await?.error()?;
    assert!(error.contains(CONFIG), "{error}");
    assert!(error.contains("all is as it was"), "{error}");
    node.is_as_in(&before)?;
    assert_eq!(node.restarts()?, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_runtime_that_an_import_would_hide_on_debians_containerd_is_an_error() -> Result<()> {
    let config = VERSION_2.replacen('\n', "\nimports = [\"/etc/containerd/more.toml\"]\n", 1);
    let more = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"localhost/pause:test\"\n  \
                restrict_oom_score_adj = true\n";
    let layout =
        Layout::vanilla(Containerd::Debian, &config).file("/etc/containerd/more.toml", more);
    let node = Node::start(layout).await?;
    let before = node.files()?;
    let error = Script::new()?.run(&node, &["install"]).await?.error()?;
    assert!(error.contains("would not be in it"), "{error}");
    node.is_as_in(&before)?;
    assert_eq!(node.restarts()?, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_containerd_that_does_not_come_back_gets_its_old_configuration() -> Result<()> {
    for layout in [
        Layout::vanilla(Containerd::Current, VERSION_3),
        Layout::k3s(),
    ] {
        let node = Node::start(layout.file("/etc/broken", "")).await?;
        let before = node.files()?;
        let error = Script::new()?
            .run(&node, &["install", "--deadline", "3"])
            .await?
            .error()?;
        assert!(error.contains("within 3 s"), "{error}");
        node.is_as_in(&before)?;
        node.answers().await?;
        assert_eq!(node.restarts()?, 2);
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_install_that_was_killed_is_finished_by_the_next() -> Result<()> {
    let node = Node::start(Layout::vanilla(Containerd::Current, VERSION_3)).await?;
    let script = Script::new()?;
    let before = node.files()?;
    // The script is killed while it waits for this command, with the configuration written and containerd not restarted.
    let stuck = "touch /run/reached; sleep 100";
    let mut install = script.command(&node, &["install", "--restart", stuck])?;
    install.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = install.spawn()?;
    wait::until("the script restarts containerd", DEADLINE, async || {
        Ok(node.path("/run/reached").exists().then_some(()))
    })
    .await?;
    kill_with_children(running.id())?;
    running.wait()?;
    assert!(!node.info().await?.contains(SHIM));
    let status = script.run(&node, &["status"]).await?.error()?;
    assert!(status.contains("interrupted"), "{status}");

    script.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.restarts()?, 1);
    assert!(node.info().await?.contains(SHIM));
    script.run(&node, &["uninstall"]).await?.ok()?;
    node.is_as_in(&before)?;
    Ok(())
}

/// Kills `timeout` and all its descendants, as a power cut would.
fn kill_with_children(pid: u32) -> Result<()> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let pid = rustix::process::Pid::from_raw(pid.try_into()?).context("0 is not a process id")?;
    // The parent first: it could otherwise continue.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    for child in children.split_whitespace() {
        kill_with_children(child.parse()?)?;
    }
    Ok(())
}
