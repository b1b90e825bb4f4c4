//! Execs as kubelet makes them: probes and hooks by `ExecSync`, `kubectl exec` and `kubectl attach` by streams.

use crate::container::Kind;
use crate::cri::{HANDLER, Pod, PodContainer, Setup};
use crate::images;
use crate::node::Node;
use crate::process;
use crate::terminal::Terminal;
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use visits_tests::command::Bounded;
use visits_tests::{DEADLINE, get, load, wait};

/// A pod of this kind, with a container in it.
async fn pod_of(kind: Kind, node: &Node) -> Result<(Pod, PodContainer)> {
    let (handler, setup) = match kind {
        Kind::Runc => (
            "runc",
            Setup::of(images::NATIVE).command(["/tools/sleep", "1000"]),
        ),
        Kind::Native => (
            HANDLER,
            Setup::of(images::NATIVE).command(["/tools/sleep", "1000"]),
        ),
        Kind::Wasm => (HANDLER, Setup::of(images::COMMANDS)),
    };
    let pod = Pod::start(node, handler).await?;
    let container = pod.run(node, setup).await?;
    if kind == Kind::Wasm {
        container.listens(&pod, node).await?;
    }
    Ok((pod, container))
}

/// stdout of `crictl FLAGS CONTAINER WORDS` without the empty lines that it adds, or all it printed as an error.
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

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_probe_passes_fails_and_times_out() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let (_pod, container) = pod_of(kind, &node).await?;
        let sync = ["exec", "--sync"];
        let passed = crictl(&container, &sync, &["echo", "ready"], "").await?;
        assert_eq!(passed, "ready\n", "{kind:?}");
        let failed = crictl(&container, &sync, &["false"], "").await;
        let failed = format!(
            "{:#}",
            failed
                .err()
                .with_context(|| format!("{kind:?}: it passed"))?
        );
        ensure!(failed.contains("exited with 1"), "{kind:?}: {failed}");
        let missing = crictl(&container, &sync, &["no-such-program"], "").await;
        let missing = format!(
            "{:#}",
            missing
                .err()
                .with_context(|| format!("{kind:?}: it passed"))?
        );
        ensure!(
            missing.contains("executable file not found in $PATH"),
            "{kind:?}: {missing}"
        );
        let timed = ["exec", "--sync", "--timeout", "1"];
        let late = crictl(&container, &timed, &["sleep", "1618"], "").await;
        let late = format!(
            "{:#}",
            late.err().with_context(|| format!("{kind:?}: it passed"))?
        );
        ensure!(
            late.contains("deadline exceeded") || late.contains("timeout"),
            "{kind:?}: {late}"
        );
        // It is killed, and not left to sleep on. A wasm exec is found by its id alone.
        let init = container.pid().await?;
        let server = process::parent(init)?;
        wait::until("the probe is gone", DEADLINE, async || {
            let all = process::all()?;
            let mut others = all
                .iter()
                .filter(|one| one.pid != init && one.line.contains("1618"));
            Ok(others
                .all(|one| process::parent(one.pid).ok() != Some(server))
                .then_some(()))
        })
        .await
        .map_err(|error| error.context(format!("{kind:?}")))?;
        assert_eq!(
            container.status().await?["state"],
            "CONTAINER_RUNNING",
            "{kind:?}"
        );
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
    for kind in Kind::ALL {
        let (_pod, container) = pod_of(kind, &node).await?;
        let echoed = crictl(&container, &["exec"], &["echo", "hello"], "").await?;
        assert_eq!(echoed, "hello\n", "{kind:?}");
        let flags = ["exec", "--interactive"];
        let copied = crictl(&container, &flags, &["cat"], &text).await?;
        let (left, all) = (copied.len(), text.len());
        ensure!(copied == text, "{kind:?}: {left} bytes of {all}");
        let failed = crictl(&container, &flags, &["false"], "").await;
        let failed = failed
            .err()
            .with_context(|| format!("{kind:?}: it passed"))?;
        ensure!(
            format!("{failed:#}").contains("exit"),
            "{kind:?}: {failed:#}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_exec_has_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let (_pod, container) = pod_of(kind, &node).await?;
        let command = container.crictl(&["exec", "--interactive", "--tty"], &["cat"])?;
        let mut terminal = Terminal::run(command, 80, 25)?;
        terminal.type_("hello\r")?;
        terminal
            .shows("hello\nhello\n")
            .await
            .map_err(|error| error.context(format!("{kind:?}")))?;
        terminal.type_("\u{4}")?;
        assert_eq!(
            terminal.ended(&node).await?,
            0,
            "{kind:?}: {}",
            terminal.screen()
        );
    }
    Ok(())
}

/// A first process that reads what is typed into it from afar.
const READER: &str =
    "echo begun; while read line; do echo got $line; done; echo closed; exec sleep 1000";

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_attach_writes_to_the_first_process_and_shows_what_it_prints() -> Result<()> {
    let node = Node::shared().await?;
    for handler in ["runc", HANDLER] {
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
        let mut stdin = attached.stdin.take().context("its stdin")?;
        for word in ["one", "two"] {
            use tokio::io::AsyncWriteExt;
            stdin.write_all(format!("{word}\n").as_bytes()).await?;
            let line = format!("stdout F got {word}");
            wait::until(&line, DEADLINE, async || {
                Ok(container.log().contains(&line).then_some(()))
            })
            .await
            .map_err(|error| error.context(handler))?;
        }
        assert_eq!(
            container.status().await?["state"],
            "CONTAINER_RUNNING",
            "{handler}"
        );
        attached.kill().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubectl_attach_reaches_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for handler in ["runc", HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let setup = Setup::native("tty; read line; echo got $line; exit 6").stdin(true);
        let container = pod.run(&node, setup).await?;
        let attach = container.crictl(&["attach", "--stdin", "--tty"], &[])?;
        let mut terminal = Terminal::run(attach, 80, 25)?;
        // Until the attachment is there, what is typed is for nobody.
        wait::until("the line arrives", DEADLINE, async || {
            terminal.type_("x\r")?;
            Ok(terminal.screen().contains("got x").then_some(()))
        })
        .await
        .map_err(|error| error.context(handler))?;
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
    let pod = Pod::start(&node, HANDLER).await?;
    let container = pod
        .run(&node, Setup::of(images::PROBE).stdin(false))
        .await?;
    container.listens(&pod, &node).await?;
    let attach = container.crictl(&["attach"], &[])?;
    let terminal = Terminal::run(attach, 80, 25)?;
    wait::until("the component's line", DEADLINE, async || {
        get(pod.address(), "/print").await?;
        Ok(terminal
            .screen()
            .contains("the probe's stdout")
            .then_some(()))
    })
    .await
}

/// One pod as a mesh makes it: a component, a program beside it, and one that prepares both; an exec in each.
#[tokio::test]
#[ignore = "needs root"]
async fn every_container_of_a_pod_can_be_executed_in() -> Result<()> {
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
    ensure!(after.is_err(), "an exec ran in a container that has ended");
    // A hook of the proxy that holds up what comes after it, started as soon as the proxy is.
    let proxy = Setup::native("sleep 1; echo > /tmp/ready; exec httpd -f -p 15000 -h /tmp");
    let proxy = pod.run(&node, proxy).await?;
    let hook = [
        "/tools/sh",
        "-c",
        "until [ -e /tmp/ready ]; do sleep 1; done; echo ready",
    ];
    assert_eq!(crictl(&proxy, &sync, &hook, "").await?, "ready\n");
    let visits = Setup::of(images::VISITS).volume(volume.path(), "/app/persistent");
    let visits = pod.run(&node, visits).await?;
    visits.listens(&pod, &node).await?;
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
        "they are in two networks: {network}"
    );
    Ok(())
}
