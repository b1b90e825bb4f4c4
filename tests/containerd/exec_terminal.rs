//! Terminals of execs and of first processes, for native programs and for WebAssembly.

use crate::container::{Container, Runtime, Workload};
use crate::images;
use crate::node::Node;
use crate::process;
use crate::task_api::{Shim, succeeded};
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use visits_tests::{DEADLINE, wait};

/// Prints its terminal, then the terminal's size for every line it reads, and ends with 7.
pub(crate) const SCRIPT: &str = "tty; ls -ln $(tty); echo opened > /dev/tty; \
                      while read line; do [ $line = end ] && exit 7; stty size; done";

/// Waits until the program sees this size. It may take a moment after a change.
async fn shows_size(terminal: &mut Terminal, size: &str) -> Result<()> {
    wait::until(size, DEADLINE, async || {
        terminal.type_keys("size\r")?;
        Ok(terminal.screen().contains(size).then_some(()))
    })
    .await
}

/// Checks the terminal of [`SCRIPT`]: its owner, its size and a change of its size.
pub(crate) async fn owns_and_follows(
    node: &Node,
    terminal: &mut Terminal,
    user: u32,
) -> Result<()> {
    terminal.shows("opened\n").await?;
    let screen = terminal.screen();
    ensure!(screen.contains("/dev/pts/"), "{screen}");
    let owner = format!(" {user} ");
    let listed = screen.lines().find(|line| line.starts_with('c'));
    ensure!(
        listed.is_some_and(|line| line.contains(&owner)),
        "the terminal is not owned by {user}: {screen}"
    );
    shows_size(terminal, "33 101\n").await?;
    terminal.resize(77, 22)?;
    shows_size(terminal, "22 77\n").await?;
    terminal.type_keys("end\r")?;
    assert_eq!(terminal.ended(node).await?, 7);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_in_a_terminal_owns_it_and_follows_its_size() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        for user in [0, 65532] {
            let builder = Container::sleeping(runtime).flag(format!("--user={user}:{user}"));
            let container = builder.spawn_running().await?;
            let mut terminal = container.shell(SCRIPT).in_sized_terminal(101, 33)?;
            let checked = owns_and_follows(&node, &mut terminal, user).await;
            checked.with_context(|| format!("{runtime:?}, user {user}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_in_a_terminal_owns_it_and_follows_its_size() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        for user in [0, 65532] {
            let builder = Container::native(SCRIPT).flag(format!("--user={user}:{user}"));
            let (container, mut terminal) =
                builder.runtime(runtime).spawn_in_terminal(101, 33).await?;
            let checked = owns_and_follows(&node, &mut terminal, user).await;
            checked.with_context(|| format!("{runtime:?}, user {user}"))?;
            container.remove().await?;
        }
    }
    Ok(())
}

/// Waits until a process has this many files open that are a terminal's master side.
async fn holds(pid: u32, terminals: usize) -> Result<()> {
    let what = format!("{terminals} terminals of process {pid}");
    let descriptors = format!("/proc/{pid}/fd");
    wait::until(&what, DEADLINE, async || {
        let open = std::fs::read_dir(&descriptors)?.flatten();
        let files = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let masters = files.filter(|file| file.ends_with("ptmx")).count();
        Ok((masters == terminals).then_some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_holds_each_terminal_once_and_none_after_its_end() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let sleeping = Container::sleeping(runtime).spawn_running().await?;
        let shim = Shim::of(sleeping.id()).await?;
        let (shim, _) = succeeded(shim.connect("").await)?;
        holds(shim, 0).await?;
        let mut terminals = Vec::new();
        for number in 1..=2 {
            terminals.push(sleeping.shell("read line").in_terminal()?);
            holds(shim, number)
                .await
                .with_context(|| format!("{runtime:?}"))?;
        }
        for mut terminal in terminals {
            terminal.type_keys("\r")?;
            assert_eq!(terminal.ended(&node).await?, 0, "{runtime:?}");
        }
        holds(shim, 0)
            .await
            .with_context(|| format!("{runtime:?}"))?;
    }
    Ok(())
}

/// The terminal handles control characters, for native programs and for WebAssembly.
#[tokio::test]
#[ignore = "needs root"]
async fn control_c_interrupts_and_control_d_ends_the_input() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        for (key, code) in [("\u{3}", 130), ("\u{4}", 0)] {
            let mut terminal = container.exec(["cat"]).in_terminal()?;
            // The line is typed before the program reads, and echoed by the terminal.
            let copied = terminal.is_copied().await;
            copied.with_context(|| format!("{workload:?}"))?;
            terminal.type_keys(key)?;
            assert_eq!(terminal.ended(&node).await?, code, "{workload:?}: {key:?}");
        }
        let mut terminal = container.exec(["false"]).in_terminal()?;
        assert_eq!(terminal.ended(&node).await?, 1, "{workload:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_wasi_command_knows_whether_it_has_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let mut terminal = container.exec(["command", "terminals"]).in_terminal()?;
    terminal.shows("true true true\n").await?;
    assert_eq!(terminal.ended(&node).await?, 0);
    let execed = container.exec(["command", "terminals"]).run(&node).await?;
    assert_eq!(execed.text(), "false false false\n");
    Ok(())
}

/// The kernel sends SIGHUP to the processes that the terminal's first process leaves behind.
#[tokio::test]
#[ignore = "needs root"]
async fn the_end_of_an_exec_hangs_up_its_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        let left = format!("sleep 2718{}", runtime as u8);
        let script = format!("{left} & echo started; read line; exit 3");
        let mut terminal = container.shell(&script).in_terminal()?;
        terminal.shows("started").await?;
        let is_there =
            || Ok::<_, anyhow::Error>(process::all()?.iter().any(|one| one.line == left));
        ensure!(is_there()?, "the background process has not started");
        terminal.type_keys("\r")?;
        assert_eq!(terminal.ended(&node).await?, 3, "{runtime:?}");
        wait::until("the background process is gone", DEADLINE, async || {
            Ok((!is_there()?).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_whose_terminal_is_lost_can_be_ended() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        let exec = container.exec(["cat"]);
        let mut terminal = exec.in_terminal()?;
        terminal.is_copied().await?;
        let pid = exec.listed().await?.context("the exec is not listed")?;
        terminal.kill().await?;
        // The lost terminal may have ended it already.
        let _ = exec.signal("SIGKILL").await;
        process::ends(pid).await?;
        assert_eq!(container.shell("exit 5").run(&node).await?.code, 5);
    }
    Ok(())
}
