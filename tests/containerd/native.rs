//! Native containers: programs that are not WebAssembly run as they would under runc.

use crate::container::{Container, Runtime};
use crate::node::Node;
use crate::process;
use anyhow::{Result, ensure};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use visits_tests::{DEADLINE, artifacts, get, wait};

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_native_container_answers_which_proves_the_harness() -> Result<()> {
    answers(Runtime::Runc).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_container_answers() -> Result<()> {
    answers(Runtime::Preopen).await
}

async fn answers(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let script = "echo native > /tmp/page && exec httpd -f -p 5000 -h /tmp";
    let container = Container::native(script).runtime(runtime);
    let container = container.start(&node).await?;
    let reply = get(container.address(), "/page").await?;
    assert_eq!(reply.text(), "native\n");
    container.signal("SIGKILL").await?;
    assert_eq!(container.ended(&node).await?.code, 137);
    container.remove().await
}

/// Many programs open /dev/stdout to log, whoever their user is.
async fn opens_its_output(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; exit 3";
    let builder = Container::native(script).flag("--user=65532:65532");
    let ended = builder.runtime(runtime).spawn().await?.ended(&node).await?;
    assert_eq!(
        (ended.code, ended.stdout.concat().as_str()),
        (3, "out"),
        "{ended:?}"
    );
    assert_eq!(ended.stderr, ["err"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_program_that_is_not_root_opens_its_output_which_proves_the_harness()
-> Result<()> {
    opens_its_output(Runtime::Runc).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_that_is_not_root_opens_its_output() -> Result<()> {
    opens_its_output(Runtime::Preopen).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_background_program_ends_with_its_container() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::native("sleep 31415 & httpd -f -p 5000 -h /tmp");
    let container = container.start(&node).await?;
    let runs = || -> Result<bool> {
        let all = process::all()?;
        Ok(all.iter().any(|one| one.line == "sleep 31415"))
    };
    wait::until("the background program runs", DEADLINE, async || {
        Ok(runs()?.then_some(()))
    })
    .await?;
    container.signal("SIGKILL").await?;
    assert_eq!(container.ended(&node).await?.code, 137);
    container.remove().await?;
    ensure!(!runs()?, "the background program still runs");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_is_found_on_the_containers_path_and_its_exit_code_is_kept() -> Result<()> {
    let node = Node::shared().await?;
    let builder = Container::of(crate::images::NATIVE).command(["sh", "-c", "exit 42"]);
    assert_eq!(builder.spawn().await?.ended(&node).await?.code, 42);
    Ok(())
}

/// A containerd that `nohup` has started ignores SIGHUP, and so does every shim. A program would ignore it too, and not end
/// with its terminal.
#[tokio::test]
#[ignore = "needs root"]
async fn a_program_ignores_no_signal_because_containerd_does() -> Result<()> {
    let node = Node::shared().await?;
    let directory = tempfile::tempdir()?;
    let wrapper = directory.path().join("containerd-shim-preopen-v1");
    let shim = artifacts::shim()?;
    let script = format!(
        "#!/bin/sh\nexec env --ignore-signal=HUP,INT,USR1,RTMIN {} \"$@\"\n",
        shim.display()
    );
    std::fs::write(&wrapper, script)?;
    std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755))?;
    // The shell ignores SIGQUIT itself, also in a program that it becomes. What it starts has the signals of the container.
    let ignored = "grep SigIgn /proc/self/status; true";
    let container = Container::native(&format!("{ignored}; exec sleep 1000"));
    let container = container.flag(format!("--runtime={}", wrapper.display()));
    let container = container.spawn_running().await?;
    let none = "SigIgn:\t0000000000000000";
    let printed = wait::until("the program's ignored signals", DEADLINE, async || {
        Ok(container.stdout().lines().first().cloned())
    });
    assert_eq!(printed.await?, none);
    let added = container.shell(ignored).run(&node).await?;
    assert_eq!(added.text().trim(), none);
    Ok(())
}
