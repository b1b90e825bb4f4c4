//! Execs as kubelet makes them: probes and hooks through `ExecSync`, `kubectl exec` and `kubectl attach` through streams.

use crate::container::Workload;
use crate::cri::{HANDLER, Pod, PodContainer, RUNC, Setup};
use crate::images;
use crate::node::Node;
use crate::process;
use crate::terminal::Terminal;
use crate::volumes::volume;
use anyhow::{Context, Result, bail, ensure};
use visits_tests::command::Bounded;
use visits_tests::{DEADLINE, get, load, wait};

/// Returns stdout of `crictl FLAGS CONTAINER WORDS` without the empty lines that it adds. An error has its whole output.
async fn crictl(
    container: &PodContainer,
    flags: &[&str],
    words: &[&str],
    input: &str,
) -> Result<String> {
    let command = Bounded::new(container.crictl(flags, words)?).within(DEADLINE);
    let stdout = command.input(input).run_beside().await?;
    let text = String::from_utf8_lossy(&stdout);
    let added = text.len() - text.trim_end_matches('\n').len();
    let kept = text.len() - added.saturating_sub(1);
    Ok(text[..kept].to_owned())
}

/// Runs a command that fails and returns the error.
async fn crictl_error(container: &PodContainer, flags: &[&str], words: &[&str]) -> Result<String> {
    match crictl(container, flags, words, "").await {
        Ok(stdout) => bail!("{words:?} succeeded: {stdout}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_probe_passes_fails_and_times_out() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let (_pod, container) = Pod::of(workload, &node).await?;
        let what = || format!("{workload:?}");
        let sync = ["exec", "--sync"];
        let passed = crictl(&container, &sync, &["echo", "ready"], "").await?;
        assert_eq!(passed, "ready\n", "{workload:?}");
        let failed = crictl_error(&container, &sync, &["false"]);
        let failed = failed.await.with_context(what)?;
        ensure!(failed.contains("exited with 1"), "{workload:?}: {failed}");
        let missing = crictl_error(&container, &sync, &["no-such-program"]);
        let missing = missing.await.with_context(what)?;
        ensure!(
            missing.contains("executable file not found in $PATH"),
            "{workload:?}: {missing}"
        );
        let timed = ["exec", "--sync", "--timeout", "1"];
        let late = crictl_error(&container, &timed, &["sleep", "1618"]);
        let late = late.await.with_context(what)?;
        ensure!(late.contains("timeout 1s exceeded"), "{workload:?}: {late}");
        // The probe's process must not keep sleeping. That of a wasm exec is recognized by its arguments and its parent.
        let init = container.pid().await?;
        let shim = process::parent(init)?;
        wait::until("the probe is gone", DEADLINE, async || {
            let all = process::all()?;
            let mut others = all
                .iter()
                .filter(|one| one.pid != init && one.line.contains("1618"));
            Ok(others
                .all(|one| process::parent(one.pid).ok() != Some(shim))
                .then_some(()))
        })
        .await
        .with_context(what)?;
        container.is_running().await.with_context(what)?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_exec_streams_both_ways() -> Result<()> {
    let node = Node::shared().await?;
    let text: String = (0..20_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    for workload in Workload::ALL {
        let (_pod, container) = Pod::of(workload, &node).await?;
        let echoed = crictl(&container, &["exec"], &["echo", "hello"], "").await?;
        assert_eq!(echoed, "hello\n", "{workload:?}");
        let flags = ["exec", "--interactive"];
        let copied = crictl(&container, &flags, &["cat"], &text).await?;
        let (left, all) = (copied.len(), text.len());
        ensure!(copied == text, "{workload:?}: {left} bytes of {all}");
        let failed = crictl_error(&container, &flags, &["false"]).await?;
        ensure!(failed.contains("exit"), "{workload:?}: {failed}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_exec_has_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let (_pod, container) = Pod::of(workload, &node).await?;
        let command = container.crictl(&["exec", "--interactive", "--tty"], &["cat"])?;
        let mut terminal = Terminal::run(command)?;
        let copied = terminal.is_copied().await;
        copied.with_context(|| format!("{workload:?}"))?;
        terminal.type_keys("\u{4}")?;
        assert_eq!(
            terminal.ended(&node).await?,
            0,
            "{workload:?}: {}",
            terminal.screen()
        );
    }
    Ok(())
}

/// A first process that prints the lines it reads.
const READER: &str =
    "echo started; while read line; do echo got $line; done; echo closed; exec sleep 1000";

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_attach_writes_to_the_first_process_and_shows_what_it_prints() -> Result<()> {
    let node = Node::shared().await?;
    for handler in [RUNC, HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let container = pod.run(&node, Setup::native(READER).stdin(false)).await?;
        let mut attach =
            tokio::process::Command::from(container.crictl(&["attach", "--stdin"], &[])?);
        attach
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true);
        let mut attached = attach.spawn()?;
        let mut stdin = attached.stdin.take().context("stdin is not piped")?;
        for word in ["one", "two"] {
            use tokio::io::AsyncWriteExt;
            stdin.write_all(format!("{word}\n").as_bytes()).await?;
            let line = format!("stdout F got {word}");
            wait::until(&line, DEADLINE, async || {
                Ok(container.log().contains(&line).then_some(()))
            })
            .await
            .context(handler)?;
        }
        container.is_running().await.context(handler)?;
        attached.kill().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_attach_reaches_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for handler in [RUNC, HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let setup = Setup::native("tty; read line; echo got $line; exit 6").stdin(true);
        let container = pod.run(&node, setup).await?;
        let attach = container.crictl(&["attach", "--stdin", "--tty"], &[])?;
        let mut terminal = Terminal::run(attach)?;
        // Lines typed before the attachment is there are lost, so type until one arrives.
        wait::until("the line arrives", DEADLINE, async || {
            terminal.type_keys("x\r")?;
            Ok(terminal.screen().contains("got x").then_some(()))
        })
        .await
        .context(handler)?;
        assert_eq!(container.ended(&node).await?["exitCode"], 6, "{handler}");
        ensure!(
            container.log().concat().contains("/dev/pts/0"),
            "{handler}: {:?}",
            container.log()
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_attach_shows_what_a_component_prints() -> Result<()> {
    let node = Node::shared().await?;
    let setup = Setup::of(images::PROBE).stdin(false);
    let (pod, container) = Pod::serving(&node, setup).await?;
    let attach = container.crictl(&["attach"], &[])?;
    let terminal = Terminal::run(attach)?;
    wait::until("the component's line", DEADLINE, async || {
        get(pod.address(), "/print").await?;
        Ok(terminal
            .screen()
            .contains("the probe's stdout")
            .then_some(()))
    })
    .await
}

/// A pod as a service mesh makes it: a component, a sidecar and an init container, with an exec in each.
#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_runs_in_every_container_of_a_pod() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let pod = Pod::start(&node, HANDLER).await?;
    let init = Setup::native("while [ ! -e /volume/go ]; do sleep 1; done")
        .volume(volume.path(), "/volume");
    let init = pod.run(&node, init).await?;
    let sync = ["exec", "--sync"];
    let let_go = ["/tools/sh", "-c", "echo > /volume/go"];
    crictl(&init, &sync, &let_go, "").await?;
    assert_eq!(init.ended(&node).await?["exitCode"], 0);
    let after = crictl(&init, &sync, &["true"], "").await;
    ensure!(after.is_err(), "an exec ran in an ended container");
    // A postStart hook of the sidecar. The next container waits for it.
    let proxy = Setup::native("sleep 1; echo > /tmp/ready; exec httpd -f -p 15000 -h /tmp");
    let proxy = pod.run(&node, proxy).await?;
    let hook = [
        "/tools/sh",
        "-c",
        "until [ -e /tmp/ready ]; do sleep 1; done; echo ready",
    ];
    assert_eq!(crictl(&proxy, &sync, &hook, "").await?, "ready\n");
    let visits = pod.serve(&node, Setup::visits(volume.path())).await?;
    load::visits(pod.address(), 2, 5).await?;
    let od = ["od", "-An", "-tu8", "/app/persistent/visits.bin"];
    let count = crictl(&visits, &sync, &od, "").await?;
    assert_eq!(count.trim(), "10");
    let network = crictl(
        &proxy,
        &sync,
        &["/tools/cat", "/proc/net/tcp", "/proc/net/tcp6"],
        "",
    )
    .await?;
    ensure!(
        network.contains(":1388 "),
        "the sidecar does not see the component's port: {network}"
    );
    Ok(())
}
