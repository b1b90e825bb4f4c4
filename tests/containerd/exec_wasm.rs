//! WASI commands in an image: their arguments, environment, files, network and limits.

use crate::container::Container;
use crate::images::{self, CORE};
use crate::node::Node;
use crate::volumes::volume;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use visits_tests::Ext4;

/// Starts the container that has the commands.
async fn commands(node: &Node) -> Result<Container> {
    Container::of(images::COMMANDS).start(node).await
}

/// Returns the exit code of these words in the container.
async fn code(container: &Container, node: &Node, words: &[&str]) -> Result<i32> {
    let exec = container.exec(words.iter().copied());
    Ok(exec.run(node).await?.code)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_gets_its_arguments_and_its_exit_code_is_kept() -> Result<()> {
    let node = Node::shared().await?;
    let container = commands(&node).await?;
    let words = ["command", "arguments", "", "two words", "\u{fc}\"'$HOME"];
    for program in ["command", "/bin/command", "../bin/command"] {
        let mut words = words.to_vec();
        words[0] = program;
        let execed = container.exec(words.clone()).run(&node).await?;
        let lines: Vec<String> = execed.text().lines().map(str::to_owned).collect();
        assert_eq!(
            (execed.code, lines),
            (0, words.iter().map(|&w| w.to_owned()).collect())
        );
    }
    for (words, code) in [
        (vec!["command", "exit", "0"], 0),
        (vec!["command", "exit", "1"], 1),
        (vec!["command", "unknown"], 2),
    ] {
        let execed = container.exec(words.clone()).run(&node).await?;
        // A component that uses `exit` of WASI 0.2 and not its later `exit-with-code` can only fail with 1.
        let as_component = code.min(1);
        assert_eq!(execed.code, as_component, "{words:?}: {execed:?}");
    }
    let panicked = container.exec(["command", "panic"]).run(&node).await?;
    assert_eq!(panicked.code, 134, "{panicked:?}");
    ensure!(panicked.stderr.contains("asked to"), "{panicked:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_core_module_of_preview_1_runs_and_can_end_with_any_exit_code() -> Result<()> {
    let node = Node::shared().await?;
    let container = commands(&node).await?;
    let execed = container.exec(["core"]).run(&node).await?;
    let (text, code) = CORE;
    assert_eq!(
        (execed.code, execed.text().as_str()),
        (i32::from(code), text),
        "{execed:?}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn wasm_that_is_not_a_command_is_refused_with_its_name() -> Result<()> {
    let node = Node::shared().await?;
    let container = commands(&node).await?;
    // What is not a component is refused by the compiler, a component without a command by the process.
    let refused = container.exec(["broken"]).refused(&node).await?;
    ensure!(refused.contains("cannot run /bin/broken: "), "{refused}");
    let server = container.exec(["server"]).run(&node).await?;
    assert_eq!(server.code, 126, "{server:?}");
    ensure!(server.stderr.contains("server: "), "{server:?}");
    let exit = ["command", "exit", "0"];
    assert_eq!(code(&container, &node, &exit).await?, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_has_exactly_the_environment_of_the_exec() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS)
        .env("GREETING", "good morning")
        .start(&node)
        .await?;
    let wasm = container.exec(["command", "environment"]);
    let wasm = wasm.run(&node).await?;
    let native = container.exec(["busybox", "env"]).run(&node).await?;
    let variables = |text: String| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let (wasm, native) = (variables(wasm.text()), variables(native.text()));
    assert_eq!(wasm, native);
    assert_eq!(wasm["GREETING"], "good morning");
    assert_eq!(wasm["PATH"], "/opt:/bin");
    let toolbox = container.exec(["printenv", "GREETING"]).run(&node).await?;
    assert_eq!(toolbox.text(), "good morning\n");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_reads_the_containers_files_from_its_working_directory() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let builder = Container::of(images::COMMANDS).volume(volume.path(), "/app/data");
    let container = builder.start(&node).await?;
    std::fs::write(volume.path().join("note"), "late\n")?;
    for (path, directory) in [
        ("/app/data/note", "/"),
        ("data/note", "/app"),
        ("note", "/app/data"),
    ] {
        let exec = container.exec(["command", "read", path]);
        let exec = exec.flag(format!("--cwd={directory}"));
        let execed = exec.run(&node).await?;
        assert_eq!(
            (execed.code, execed.text().as_str()),
            (0, "late\n"),
            "{path}: {execed:?}"
        );
    }
    // A read-only volume is read-only for a command too.
    let small = tempfile::tempdir()?;
    let point = small.path().join("point");
    std::fs::create_dir(&point)?;
    let _mounted = Ext4::on(&point)?;
    let second = Container::of(images::COMMANDS).read_only_volume(&point, "/app/data");
    let second = second.start(&node).await?;
    let write = ["command", "write", "/app/data/new", "x"];
    assert_eq!(code(&second, &node, &write).await?, 1);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_is_in_the_network_of_the_component() -> Result<()> {
    let node = Node::shared().await?;
    let container = commands(&node).await?;
    let execed = container.exec(["command", "get", "127.0.0.1:5000"]);
    let execed = execed.run(&node).await?;
    ensure!(execed.text().starts_with("HTTP/1.1 200"), "{execed:?}");
    // Nothing in the container's network listens there.
    let other = ["command", "get", "127.0.0.1:1"];
    assert_eq!(code(&container, &node, &other).await?, 1);
    Ok(())
}

/// A guest that could write there could run native code.
#[tokio::test]
#[ignore = "needs root"]
async fn a_command_of_root_cannot_write_to_the_memory_of_its_process() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS)
        .flag("--user=0:0")
        .start(&node)
        .await?;
    let link = [
        "busybox",
        "sh",
        "-c",
        "ln -s /proc/self/mem /app/data/mem; ln -s /proc /app/data/proc",
    ];
    assert_eq!(code(&container, &node, &link).await?, 0);
    for path in [
        "/proc/self/mem",
        "/proc/1/mem",
        "/proc/thread-self/mem",
        "../proc/self/mem",
        "/app/data/mem",
        "/app/data/proc/self/mem",
        "/proc/self/comm",
        "/proc/self/oom_score_adj",
        "/proc/self/root/app/data/new",
        "/proc/self/cwd/data/new",
        "/sys/kernel/mm/ksm/run",
    ] {
        let write = ["command", "write", path, "0"];
        assert_eq!(code(&container, &node, &write).await?, 1, "{path}");
        let copy = ["cp", "/app/spin.toml", path];
        assert_ne!(code(&container, &node, &copy).await?, 0, "{path}");
    }
    let exit = ["command", "exit", "0"];
    assert_eq!(code(&container, &node, &exit).await?, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_can_use_the_memory_that_the_container_has_left() -> Result<()> {
    let node = Node::shared().await?;
    let limit = 160 << 20;
    let builder = Container::of(images::COMMANDS).flag(format!("--memory-limit={limit}"));
    let container = builder.start(&node).await?;
    let execed = container.exec(["command", "allocate", "32"]);
    let execed = execed.run(&node).await?;
    assert_eq!(
        (execed.code, execed.text().as_str()),
        (0, "32\n"),
        "{execed:?}"
    );
    // Beyond the limit it fails or is killed, and the server keeps running.
    let allocate = ["command", "allocate", "1000"];
    assert_ne!(code(&container, &node, &allocate).await?, 0);
    assert_eq!(
        visits_tests::get(container.address(), "/").await?.status,
        200
    );
    ensure!(!container.has_exited());
    Ok(())
}
