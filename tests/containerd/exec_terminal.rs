//! Terminals: of execs and of a container's first process, of native programs and of wasm.

use crate::container::{Container, Kind, Runtime};
use crate::images;
use crate::node::Node;
use crate::process;
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use visits_tests::{DEADLINE, wait};

/// Reports its terminal, then its size whenever it reads a line, and ends with 7.
const SCRIPT: &str = "tty; ls -ln $(tty); echo opened > /dev/tty; \
                      while read line; do [ $line = end ] && exit 7; stty size; done";

/// The terminal follows the size of the one that it is shown in, once it has noticed.
async fn shows_size(terminal: &mut Terminal, size: &str) -> Result<()> {
    wait::until(size, DEADLINE, async || {
        terminal.type_("size\r")?;
        Ok(terminal.screen().contains(size).then_some(()))
    })
    .await
}

async fn is_a_terminal(node: &Node, terminal: &mut Terminal, user: u32) -> Result<()> {
    terminal.shows("opened\n").await?;
    let screen = terminal.screen();
    ensure!(screen.contains("/dev/pts/"), "{screen}");
    let owner = format!(" {user} ");
    let listed = screen.lines().find(|line| line.starts_with('c'));
    ensure!(
        listed.is_some_and(|line| line.contains(&owner)),
        "not {user}'s: {screen}"
    );
    shows_size(terminal, "33 101\n").await?;
    terminal.resize(77, 22)?;
    shows_size(terminal, "22 77\n").await?;
    terminal.type_("end\r")?;
    assert_eq!(terminal.ended(node).await?, 7);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_in_a_terminal_owns_it_and_follows_its_size() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        for user in [0, 65532] {
            let builder = Container::native("sleep 1000").flag(format!("--user={user}:{user}"));
            let container = builder.runtime(runtime).spawn().await?;
            container.runs().await?;
            let exec = container.shell(SCRIPT).flag("--tty");
            let mut terminal = Terminal::run(exec.command()?, 101, 33)?;
            let is = is_a_terminal(&node, &mut terminal, user).await;
            is.map_err(|error| error.context(format!("{runtime:?}, user {user}")))?;
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
            let is = is_a_terminal(&node, &mut terminal, user).await;
            is.map_err(|error| error.context(format!("{runtime:?}, user {user}")))?;
            container.remove().await?;
        }
    }
    Ok(())
}

/// Control characters reach the process that reads, whatever kind of program it is.
#[tokio::test]
#[ignore = "needs root"]
async fn control_c_interrupts_and_control_d_ends_the_input() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        for (key, code) in [("\u{3}", 130), ("\u{4}", 0)] {
            let exec = container.exec(["cat"]).flag("--tty");
            let mut terminal = Terminal::run(exec.command()?, 80, 25)?;
            // Typed before anybody reads, and echoed.
            terminal.type_("hello\r")?;
            terminal
                .shows("hello\nhello\n")
                .await
                .map_err(|error| error.context(format!("{kind:?}")))?;
            terminal.type_(key)?;
            assert_eq!(terminal.ended(&node).await?, code, "{kind:?}: {key:?}");
        }
        let exec = container.exec(["false"]).flag("--tty");
        let mut terminal = Terminal::run(exec.command()?, 80, 25)?;
        assert_eq!(terminal.ended(&node).await?, 1, "{kind:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_of_wasm_knows_whether_it_has_a_terminal() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let exec = container.exec(["command", "terminals"]).flag("--tty");
    let mut terminal = Terminal::run(exec.command()?, 80, 25)?;
    terminal.shows("true true true\n").await?;
    assert_eq!(terminal.ended(&node).await?, 0);
    let execed = container.exec(["command", "terminals"]).run(&node).await?;
    assert_eq!(execed.text(), "false false false\n");
    Ok(())
}

/// The end of the first process of a terminal hangs up on those that it leaves behind in it.
#[tokio::test]
#[ignore = "needs root"]
async fn the_end_of_an_exec_hangs_up_its_terminal() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let left = format!("sleep 2718{}", runtime as u8);
        let script = format!("{left} & echo started; read line; exit 3");
        let exec = container.shell(&script).flag("--tty");
        let mut terminal = Terminal::run(exec.command()?, 80, 25)?;
        terminal.shows("started").await?;
        let is_there =
            || Ok::<_, anyhow::Error>(process::all()?.iter().any(|one| one.line == left));
        ensure!(is_there()?, "it has not started");
        terminal.type_("\r")?;
        assert_eq!(terminal.ended(&node).await?, 3, "{runtime:?}");
        wait::until("it is gone", DEADLINE, async || {
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
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let exec = container.exec(["cat"]).flag("--tty");
        let mut terminal = Terminal::run(exec.command()?, 80, 25)?;
        terminal.type_("hello\r")?;
        terminal.shows("hello\nhello\n").await?;
        let id = exec.id().to_owned();
        let pid = wait::until("it has a process", DEADLINE, async || {
            crate::container::pid_of(crate::ctr::NAMESPACE, container.id(), &id).await
        })
        .await?;
        terminal.abandon().await?;
        let kill = [
            "tasks",
            "kill",
            "--signal",
            "SIGKILL",
            "--exec-id",
            &id,
            container.id(),
        ];
        // What was lost may have ended it already.
        let _ = crate::ctr::run(kill).await;
        wait::until("it has ended", DEADLINE, async || {
            Ok((!process::exists(pid)).then_some(()))
        })
        .await?;
        assert_eq!(container.shell("exit 5").run(&node).await?.code, 5);
    }
    Ok(())
}
