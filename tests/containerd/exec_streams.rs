//! The streams of an exec, its exit codes, and the signals that end it.

use crate::container::{Container, ExecBuilder, Kind, Runtime};
use crate::images;
use crate::node::Node;
use crate::task_api::{Fifos, Shim};
use crate::{ctr, process};
use anyhow::{Context, Result, anyhow, ensure};
use std::io::{Read, Write};
use visits_tests::{DEADLINE, wait};

/// A mebibyte of every byte, in an order in which a piece that is lost, doubled or moved shows.
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
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let execed = container
            .exec(["cat"])
            .input(bytes.clone())
            .run(&node)
            .await?;
        assert_eq!((execed.code, execed.stderr.as_str()), (0, ""), "{kind:?}");
        assert_eq!(execed.stdout.len(), bytes.len(), "{kind:?}");
        ensure!(execed.stdout == bytes, "{kind:?}: other bytes");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_short_input_arrives_every_time() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        for round in 0..10 {
            let what = || format!("{kind:?}, round {round}");
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

/// What is written before the process exists must not be lost, and an input that was closed by then must end. (runc's
/// shim forgets that it was.)
#[tokio::test]
#[ignore = "needs root"]
async fn an_input_that_is_closed_before_the_start_arrives_and_ends() -> Result<()> {
    let node = Node::shared().await?;
    for kind in [Kind::Native, Kind::Wasm] {
        let container = kind.start(&node).await?;
        let shim = Shim::of(container.id()).await?;
        for round in 0..10 {
            let what = |(code, message)| anyhow!("{kind:?}, round {round}: {code:?}: {message}");
            let id = format!("closed{round}");
            let fifos = Fifos::new()?;
            let exec = shim.exec_with(&id, &["cat"], fifos.stdin(), fifos.stdout());
            exec.await.map_err(what)?;
            let (mut stdin, mut stdout) = fifos.open()?;
            stdin.write_all(b"before the start\n")?;
            shim.close_io(&id).await.map_err(what)?;
            shim.start(&id).await.map_err(what)?;
            drop(stdin);
            let waited = shim.wait(&id).await.map_err(what)?;
            assert_eq!(waited.exit_status, 0, "{kind:?}, round {round}");
            let mut text = [0; 100];
            let read = wait::until("what it wrote", DEADLINE, async || {
                Ok(stdout.read(&mut text).ok())
            });
            let read = read.await?;
            assert_eq!(
                &text[..read],
                b"before the start\n",
                "{kind:?}, round {round}"
            );
            shim.delete(&id).await.map_err(what)?;
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_input_stays_open_until_it_is_closed() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let mut exec = container.exec(["cat"]).start()?;
        exec.write(b"early\n").await?;
        exec.says("early\n").await?;
        let pid = exec.pid().await?;
        exec.write(b"late\n").await?;
        exec.says("early\nlate\n").await?;
        ensure!(process::exists(pid), "{kind:?}: it has ended");
        exec.close_stdin();
        let execed = exec.ended(&node).await?;
        assert_eq!(
            (execed.code, execed.text().as_str()),
            (0, "early\nlate\n"),
            "{kind:?}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_that_reads_no_input_ends_while_it_is_open() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let mut exec = container.exec(["true"]).start()?;
        exec.write(b"for nobody\n").await?;
        assert_eq!(exec.ended(&node).await?.code, 0, "{kind:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn stdout_and_stderr_are_apart_and_codes_are_kept() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
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
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
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
            assert_eq!(exec.ended(&node).await?.code, code, "{kind:?}: {signal}");
            ensure!(
                process::exists(kept),
                "{kind:?}: {signal} ended the other, too"
            );
            other.signal("SIGKILL").await?;
            assert_eq!(other.ended(&node).await?.code, 137, "{kind:?}");
        }
        ensure!(!container.has_exited(), "{kind:?}");
    }
    Ok(())
}

/// Nothing but its end can interrupt it.
#[tokio::test]
#[ignore = "needs root"]
async fn a_command_that_computes_for_ever_takes_signals() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    for (signal, code) in [("SIGTERM", 143), ("SIGKILL", 137)] {
        let exec = container.exec(["command", "loop"]).start()?;
        exec.says("looping").await?;
        exec.signal(signal).await?;
        assert_eq!(exec.ended(&node).await?.code, code, "{signal}");
    }
    assert_eq!(
        visits_tests::get(container.address(), "/").await?.status,
        200
    );
    Ok(())
}

/// `ctr` dies with a process that writes for ever. What becomes of its output is the same under every shim: nobody
/// reads it; the process can still be ended and removed.
async fn outlives_its_reader(
    node: &Node,
    container: &Container,
    endless: ExecBuilder,
) -> Result<()> {
    let mut exec = endless.start()?;
    exec.says("y\n").await?;
    let pid = exec.pid().await?;
    exec.abandon().await?;
    // It may have ended meanwhile, of the pipe that nobody reads.
    let _ = exec.signal("SIGKILL").await;
    wait::until("its process is gone", DEADLINE, async || {
        Ok((!process::exists(pid)).then_some(()))
    })
    .await
    .map_err(|error| node.failed(&format!("{error:#}")))?;
    wait::until("it can be deleted", DEADLINE, async || {
        let delete = ["tasks", "delete", "--exec-id", exec.id(), container.id()];
        let deleted = ctr::run(delete).await;
        // Its exit code is that of `ctr`, then.
        let told = deleted.map_or_else(|error| format!("{error:#}"), |_| String::new());
        Ok((!told.contains("ctr: ")).then_some(()))
    })
    .await?;
    let execed = container.exec(["echo", "still here"]).run(node).await?;
    assert_eq!(execed.text(), "still here\n");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_whose_reader_dies_can_be_ended_and_removed() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let endless = match kind {
            Kind::Wasm => container.exec(["command", "repeat", "y"]),
            _ => container.exec(["yes"]),
        };
        let ended = outlives_its_reader(&node, &container, endless).await;
        ended.map_err(|error| error.context(format!("{kind:?}")))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_output_of_an_exec_can_go_to_a_file() -> Result<()> {
    let node = Node::shared().await?;
    let directory = tempfile::tempdir()?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let file = directory.path().join(format!("{kind:?}"));
        let uri = format!("--log-uri=file://{}", file.display());
        let execed = container
            .exec(["echo", "logged"])
            .flag(uri)
            .run(&node)
            .await?;
        assert_eq!((execed.code, execed.text().as_str()), (0, ""), "{kind:?}");
        // runc's shim copies it, and may not be done at the end.
        wait::until("the line is in the file", DEADLINE, async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok((text == "logged\n").then_some(()))
        })
        .await
        .map_err(|error| error.context(format!("{kind:?}")))?;
    }
    Ok(())
}
