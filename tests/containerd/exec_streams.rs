//! The streams of an exec, its exit codes and its signals.

use crate::container::{Container, ExecBuilder, Runtime, Workload};
use crate::images;
use crate::node::Node;
use crate::task_api::{Fifos, Shim, succeeded};
use crate::{ctr, process};
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use visits_tests::{DEADLINE, wait};

/// Returns a mebibyte of pseudo-random bytes, in which a lost, repeated or moved piece is noticed.
fn mebibyte() -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..1 << 20).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_mebibyte_of_any_bytes_goes_in_and_comes_out() -> Result<()> {
    let node = Node::shared().await?;
    let bytes = mebibyte();
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let execed = container.exec(["cat"]).input(bytes.clone());
        let execed = execed.run(&node).await?;
        assert_eq!(
            (execed.code, execed.stderr.as_str()),
            (0, ""),
            "{workload:?}"
        );
        assert_eq!(execed.stdout.len(), bytes.len(), "{workload:?}");
        ensure!(execed.stdout == bytes, "{workload:?}: the bytes differ");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_short_input_arrives_every_time() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        for round in 0..10 {
            let what = || format!("{workload:?}, round {round}");
            let line = format!("hello {round}\n");
            let execed = container.exec(["cat"]).input(line.clone());
            let execed = execed.run(&node).await.with_context(what)?;
            assert_eq!((execed.code, execed.text()), (0, line), "{}", what());
            let execed = container.exec(["cat"]).input("");
            let execed = execed.run(&node).await.with_context(what)?;
            assert_eq!((execed.code, execed.text().as_str()), (0, ""), "{}", what());
        }
    }
    Ok(())
}

/// Input written before the process exists must not be lost, and input closed by then must end. Not under runc: its shim
/// forgets that the input was closed.
#[tokio::test]
#[ignore = "needs root"]
async fn an_input_that_is_closed_before_the_start_arrives_and_ends() -> Result<()> {
    let node = Node::shared().await?;
    for workload in [Workload::Native, Workload::Wasm] {
        let container = workload.start(&node).await?;
        let shim = Shim::of(container.id()).await?;
        for round in 0..10 {
            let copied = copies_early_input(&shim, &format!("closed{round}")).await;
            copied.with_context(|| format!("{workload:?}, round {round}"))?;
        }
    }
    Ok(())
}

/// Writes to the input of `cat` and closes it before the start, and checks the copy.
async fn copies_early_input(shim: &Shim, id: &str) -> Result<()> {
    let fifos = Fifos::new()?;
    let exec = shim.exec_with(id, &["cat"], fifos.stdin(), fifos.stdout());
    succeeded(exec.await)?;
    let (mut stdin, mut stdout) = fifos.open()?;
    stdin.write_all(b"before the start\n")?;
    succeeded(shim.close_io(id).await)?;
    succeeded(shim.start(id).await)?;
    drop(stdin);
    let waited = succeeded(shim.wait(id).await)?;
    assert_eq!(waited.exit_status, 0);
    let mut text = [0; 100];
    let read = wait::until("a copy of the input", DEADLINE, async || {
        Ok(stdout.read(&mut text).ok())
    });
    let read = read.await?;
    assert_eq!(&text[..read], b"before the start\n");
    succeeded(shim.delete(id).await)?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_input_stays_open_until_it_is_closed() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let mut exec = container.exec(["cat"]).start()?;
        exec.echoes("early\n").await?;
        let pid = exec.pid().await?;
        exec.echoes("late\n").await?;
        ensure!(process::exists(pid), "{workload:?}: the exec has ended");
        exec.close_stdin();
        let execed = exec.ended(&node).await?;
        assert_eq!(
            (execed.code, execed.text().as_str()),
            (0, "early\nlate\n"),
            "{workload:?}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_that_reads_no_input_ends_while_its_input_is_open() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let mut exec = container.exec(["true"]).start()?;
        exec.write(b"not read\n").await?;
        assert_eq!(exec.ended(&node).await?.code, 0, "{workload:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn stdout_and_stderr_are_separate_and_exit_codes_are_kept() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        for code in [0, 1, 2, 42, 126, 127, 137, 143, 255] {
            let script = format!("echo out; echo err >&2; echo out; exit {code}");
            let execed = container.shell(&script).run(&node).await?;
            assert_eq!(execed.code, code, "{runtime:?}");
            assert_eq!(execed.text(), "out\nout\n", "{runtime:?}");
            assert_eq!(execed.stderr, "err\n", "{runtime:?}");
        }
    }
    let container = Container::of(images::HELLO).start(&node).await?;
    for (name, code) in [("true", 0), ("false", 1)] {
        assert_eq!(container.exec([name]).run(&node).await?.code, code);
    }
    let both = ["cat", "spin.toml", "nope"];
    let execed = container.exec(both).run(&node).await?;
    ensure!(
        execed.text().starts_with("spin_manifest_version"),
        "{execed:?}"
    );
    assert_eq!(execed.stderr, "cat: nope: No such file or directory\n");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_signal_ends_an_exec_and_no_other_process() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        for (signal, code) in [
            ("SIGTERM", 143),
            ("SIGKILL", 137),
            ("SIGINT", 130),
            ("SIGUSR1", 138),
        ] {
            let other = container.exec(["sleep", "1000"]).start()?;
            let exec = container.exec(["sleep", "1000"]).start()?;
            exec.pid().await?;
            let kept = other.pid().await?;
            exec.signal(signal).await?;
            assert_eq!(
                exec.ended(&node).await?.code,
                code,
                "{workload:?}: {signal}"
            );
            ensure!(
                process::exists(kept),
                "{workload:?}: {signal} ended the other exec too"
            );
            assert_eq!(other.killed(&node).await?.code, 137, "{workload:?}");
        }
        ensure!(!container.has_exited(), "{workload:?}");
    }
    Ok(())
}

/// It makes no system call at which a signal could be handled.
#[tokio::test]
#[ignore = "needs root"]
async fn a_signal_ends_a_command_that_computes_forever() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    for (signal, code) in [("SIGTERM", 143), ("SIGKILL", 137)] {
        let exec = container.exec(["command", "loop"]).start()?;
        exec.prints("looping").await?;
        exec.signal(signal).await?;
        assert_eq!(exec.ended(&node).await?.code, code, "{signal}");
    }
    assert_eq!(
        visits_tests::get(container.address(), "/").await?.status,
        200
    );
    Ok(())
}

/// Kills `ctr` while the process writes endlessly, and checks that the process can still be ended and deleted. Its output
/// has no reader then, whichever shim it is.
async fn can_be_ended_without_a_reader(
    node: &Node,
    container: &Container,
    endless: ExecBuilder,
) -> Result<()> {
    let mut exec = endless.start()?;
    exec.prints("y\n").await?;
    let pid = exec.pid().await?;
    exec.kill_ctr().await?;
    // The broken pipe may have ended it meanwhile.
    let _ = exec.signal("SIGKILL").await;
    node.with_log(process::ends(pid).await)?;
    wait::until("the exec can be deleted", DEADLINE, async || {
        let delete = ["tasks", "delete", "--exec-id", exec.id(), container.id()];
        let deleted = ctr::run(delete).await;
        // `ctr` ends with the exit code of the exec, so only its own error is a failure.
        let error = deleted.map_or_else(|error| format!("{error:#}"), |_| String::new());
        Ok((!error.contains("ctr: ")).then_some(()))
    })
    .await?;
    let execed = container.exec(["echo", "still here"]).run(node).await?;
    assert_eq!(execed.text(), "still here\n");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_whose_reader_dies_can_be_ended_and_deleted() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let endless = match workload {
            Workload::Wasm => container.exec(["command", "repeat", "y"]),
            _ => container.exec(["yes"]),
        };
        let ended = can_be_ended_without_a_reader(&node, &container, endless).await;
        ended.with_context(|| format!("{workload:?}"))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_output_of_an_exec_can_go_to_a_file() -> Result<()> {
    let node = Node::shared().await?;
    let directory = tempfile::tempdir()?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let file = directory.path().join(format!("{workload:?}"));
        let uri = format!("--log-uri=file://{}", file.display());
        let execed = container.exec(["echo", "logged"]).flag(uri);
        let execed = execed.run(&node).await?;
        assert_eq!(
            (execed.code, execed.text().as_str()),
            (0, ""),
            "{workload:?}"
        );
        // runc's shim may still be copying after the end of the exec.
        wait::until("the line is in the file", DEADLINE, async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok((text == "logged\n").then_some(()))
        })
        .await
        .with_context(|| format!("{workload:?}"))?;
    }
    Ok(())
}
