//! The end of an exec's output: after its last byte, and with the exec's delete.

use crate::container::{Container, Runtime, Workload};
use crate::node::Node;
use crate::process;
use crate::task_api::{Fifos, Shim, succeeded};
use anyhow::{Result, ensure};
use std::fs::File;
use std::io::{ErrorKind, Read};
use visits_tests::{DEADLINE, wait};

/// Reads from a pipe, slowly, until all its writers have closed it.
async fn read_to_end(output: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    wait::until("the end of the output", DEADLINE, async || {
        match output.read(&mut chunk) {
            Ok(0) => return Ok(Some(())),
            Ok(read) => bytes.extend(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    })
    .await?;
    Ok(bytes)
}

/// containerd reads until the end, and waits for it without a limit once the exec is deleted.
#[tokio::test]
#[ignore = "needs root"]
async fn the_output_of_a_deleted_exec_ends_although_a_process_that_it_left_behind_holds_it()
-> Result<()> {
    let _node = Node::shared().await?;
    let container = Container::sleeping(Runtime::Preopen)
        .spawn_running()
        .await?;
    let shim = Shim::of(container.id()).await?;
    let fifos = Fifos::new()?;
    let words = ["sh", "-c", "sleep 27182818 & echo started"];
    let exec = shim.exec_with("leaves", &words, String::new(), fifos.stdout());
    succeeded(exec.await)?;
    let mut output = fifos.read_stdout()?;
    succeeded(shim.start("leaves").await)?;
    let waited = succeeded(shim.wait("leaves").await)?;
    assert_eq!(waited.exit_status, 0);
    succeeded(shim.delete("leaves").await)?;
    assert_eq!(read_to_end(&mut output).await?, b"started\n");
    let left = process::all()?;
    let left = left.iter().any(|process| process.line == "sleep 27182818");
    ensure!(left, "the process that was left behind is gone");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_slow_reader_gets_all_output_after_the_exit() -> Result<()> {
    // More than one pipe takes, less than two.
    const SIZE: usize = 100_000;
    let node = Node::shared().await?;
    for workload in [Workload::Native, Workload::Wasm] {
        let container = workload.start(&node).await?;
        let shim = Shim::of(container.id()).await?;
        let fifos = Fifos::new()?;
        let size = SIZE.to_string();
        let words = ["head", "-c", &size, "/dev/zero"];
        let exec = shim.exec_with("late", &words, String::new(), fifos.stdout());
        succeeded(exec.await)?;
        let mut output = fifos.read_stdout()?;
        succeeded(shim.start("late").await)?;
        let waited = succeeded(shim.wait("late").await)?;
        assert_eq!(waited.exit_status, 0, "{workload:?}");
        let (deleted, read) = tokio::join!(shim.delete("late"), read_to_end(&mut output));
        succeeded(deleted)?;
        ensure!(read? == [0; SIZE], "{workload:?}: the bytes differ");
    }
    Ok(())
}
