//! The task API's responses about execs in every state, compared with those of runc's shim call by call.

use crate::container::{Container, Runtime, Workload};
use crate::images;
use crate::node::Node;
use crate::task_api::{CallResult, Shim, succeeded};
use anyhow::{Result, ensure};
use containerd_shim_protos::api::Status;
use containerd_shim_protos::ttrpc::Code;

const TERM: u32 = 15;
const KILL: u32 = 9;

/// Returns the code of a call's result. Messages are not compared: each shim has its own.
fn code<T>(result: &CallResult<T>) -> String {
    match result {
        Ok(_) => "OK".to_owned(),
        Err((code, _)) => format!("{code:?}"),
    }
}

/// Makes every call that does not change the exec.
async fn queried(shim: &Shim, exec: &str) -> Vec<(&'static str, String)> {
    let state = shim.state(exec).await;
    let status = state
        .as_ref()
        .map(|state| format!("{:?}", state.status.enum_value()));
    vec![
        ("State", status.unwrap_or_else(|_| code(&state))),
        ("CloseIO", code(&shim.close_io(exec).await)),
        (
            "Exec of the same id",
            code(&shim.exec(exec, &["true"]).await),
        ),
    ]
}

/// Whether this code is at least as specific as that of runc's shim, which passes many errors on as `UNKNOWN`.
fn is_as_specific(here: &str, runc: &str) -> bool {
    here == runc || runc == "UNKNOWN" && here != "OK"
}

/// Checks that a second start fails. Not under runc: its shim then miscounts its execs and panics when the container ends.
async fn does_not_start_again(shim: &Shim, workload: Workload) -> Result<()> {
    if workload == Workload::Runc {
        return Ok(());
    }
    let again = code(&shim.start("one").await);
    ensure!(
        again != "OK" && again != "NOT_FOUND",
        "a second start: {again}"
    );
    Ok(())
}

/// Makes every call in every state of an exec, valid and invalid ones, and returns their codes.
async fn every_call(shim: &Shim, workload: Workload) -> Result<Vec<(String, String)>> {
    let sleep = &["sleep", "1000"];
    let mut seen = Vec::new();
    let mut note = |state: &str, calls: Vec<(&'static str, String)>| {
        seen.extend(
            calls
                .into_iter()
                .map(|(call, code)| (format!("{state}: {call}"), code)),
        );
    };
    let unknown = "unknown";
    note(
        "an unknown exec",
        vec![
            ("Start", code(&shim.start(unknown).await)),
            ("Kill", code(&shim.kill(unknown, TERM).await)),
            ("Wait", code(&shim.wait(unknown).await)),
            ("Delete", code(&shim.delete(unknown).await)),
            ("State", code(&shim.state(unknown).await)),
            ("CloseIO", code(&shim.close_io(unknown).await)),
            ("ResizePty", code(&shim.resize(unknown).await)),
        ],
    );
    note(
        "an exec that is added",
        vec![("Exec", code(&shim.exec("one", sleep).await))],
    );
    note("an exec that is added", queried(shim, "one").await);
    note(
        "an exec that is added",
        vec![
            ("Delete", code(&shim.delete("one").await)),
            ("Delete again", code(&shim.delete("one").await)),
            (
                "Exec after its Delete",
                code(&shim.exec("one", sleep).await),
            ),
            ("Start", code(&shim.start("one").await)),
        ],
    );
    note("an exec that runs", queried(shim, "one").await);
    does_not_start_again(shim, workload).await?;
    note(
        "an exec that runs",
        vec![
            ("Delete", code(&shim.delete("one").await)),
            ("Kill with 0", code(&shim.kill("one", 0).await)),
            ("Kill", code(&shim.kill("one", KILL).await)),
            ("Wait", code(&shim.wait("one").await)),
        ],
    );
    note("an exec that has ended", queried(shim, "one").await);
    does_not_start_again(shim, workload).await?;
    note(
        "an exec that has ended",
        vec![
            ("Kill", code(&shim.kill("one", KILL).await)),
            ("Wait", code(&shim.wait("one").await)),
            ("Delete", code(&shim.delete("one").await)),
            ("Delete again", code(&shim.delete("one").await)),
            (
                "Exec after its Delete",
                code(&shim.exec("one", sleep).await),
            ),
            ("Delete of that", code(&shim.delete("one").await)),
        ],
    );
    note(
        "an exec that cannot start",
        vec![
            (
                "Exec",
                code(&shim.exec("none", &["/no/such/program"]).await),
            ),
            ("Delete", code(&shim.delete("none").await)),
        ],
    );
    Ok(seen)
}

#[tokio::test]
#[ignore = "needs root"]
async fn every_call_in_every_state_has_the_code_of_runcs_shim() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let shim = Shim::of(container.id()).await?;
        seen.push(every_call(&shim, workload).await?);
        ensure!(!container.has_exited(), "{workload:?}");
    }
    for (workload, calls) in [("native", &seen[1]), ("wasm", &seen[2])] {
        let differ = calls
            .iter()
            .zip(&seen[0])
            .filter(|(here, runc)| here.0 != runc.0 || !is_as_specific(&here.1, &runc.1));
        let lines: Vec<String> = differ
            .map(|((call, here), (_, runc))| format!("{call}: {here}, under runc {runc}"))
            .collect();
        ensure!(
            lines.is_empty() && calls.len() == seen[0].len(),
            "{workload}:\n{}",
            lines.join("\n")
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_task_api_reports_an_execs_process_state_exit_code_and_time() -> Result<()> {
    let node = Node::shared().await?;
    for workload in Workload::ALL {
        let container = workload.start(&node).await?;
        let init = container.runs().await?;
        let shim = Shim::of(container.id()).await?;
        succeeded(shim.exec("one", &["sleep", "1000"]).await)?;
        let added = succeeded(shim.state("one").await)?;
        assert_eq!(
            (added.pid, added.status.enum_value()),
            (0, Ok(Status::CREATED)),
            "{added}"
        );
        let pid = succeeded(shim.start("one").await)?.pid;
        let running = succeeded(shim.state("one").await)?;
        assert_eq!(
            (running.pid, running.status.enum_value()),
            (pid, Ok(Status::RUNNING))
        );
        let pids = succeeded(shim.pids().await)?.processes;
        let named: Vec<bool> = pids.iter().map(|process| process.info.is_some()).collect();
        ensure!(
            pids.iter()
                .any(|process| process.pid == init as u32 && process.info.is_none())
        );
        ensure!(
            pids.iter()
                .any(|process| process.pid == pid && process.info.is_some()),
            "{named:?}"
        );
        succeeded(shim.kill("one", TERM).await)?;
        let waited = succeeded(shim.wait("one").await)?;
        let stopped = succeeded(shim.state("one").await)?;
        let deleted = succeeded(shim.delete("one").await)?;
        assert_eq!(waited.exit_status, 143);
        assert_eq!(
            (stopped.exit_status, stopped.status.enum_value()),
            (143, Ok(Status::STOPPED))
        );
        assert_eq!((deleted.exit_status, deleted.pid), (143, pid));
        assert_eq!(waited.exited_at, deleted.exited_at);
        ensure!(waited.exited_at.seconds > 1_700_000_000, "{waited}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn no_exec_starts_after_the_first_process_has_ended() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        // Detached, so that `ctr` does not remove the task at its end.
        let container = Container::sleeping(runtime).flag("--detach");
        let container = container.spawn().await?;
        let pid = container.runs().await?;
        let shim = Shim::of(container.id()).await?;
        succeeded(shim.exec("added", &["sleep", "1000"]).await)?;
        succeeded(shim.exec("runs", &["sleep", "1000"]).await)?;
        succeeded(shim.start("runs").await)?;
        crate::process::kill(pid, visits_tests::Signal::KILL)?;
        succeeded(shim.wait("").await)?;
        let exec = succeeded(shim.wait("runs").await)?;
        assert_eq!(exec.exit_status, 137, "{runtime:?}");
        let calls = [
            ("Start", code(&shim.start("added").await)),
            ("Kill of the exec", code(&shim.kill("runs", KILL).await)),
            ("State of the exec", code(&shim.state("runs").await)),
            ("Delete of the exec", code(&shim.delete("runs").await)),
            ("Delete of the added one", code(&shim.delete("added").await)),
            ("Delete", code(&shim.delete("").await)),
        ];
        assert_eq!(
            calls[0].1,
            format!("{:?}", Code::FAILED_PRECONDITION),
            "{runtime:?}"
        );
        seen.push(calls);
    }
    assert_eq!(seen[1], seen[0]);
    drop(node);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn both_versions_of_the_task_api_reach_the_same_processes() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::sleeping(Runtime::Preopen);
    let container = container.spawn_running().await?;
    let old = Shim::of(container.id()).await?.by_version(2);
    let new = Shim::of(container.id()).await?.by_version(3);
    succeeded(new.exec("one", &["sleep", "1000"]).await)?;
    let pid = succeeded(old.start("one").await)?.pid;
    assert_eq!(succeeded(new.state("one").await)?.pid, pid);
    succeeded(old.kill("one", TERM).await)?;
    assert_eq!(succeeded(new.wait("one").await)?.exit_status, 143);
    succeeded(old.delete("one").await)?;
    assert_eq!(code(&new.state("one").await), "NOT_FOUND");
    let unknown = old.by_version(4).state("").await;
    ensure!(unknown.is_err(), "there is no version 4");
    drop(node);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_describes_itself_with_and_without_a_container() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn().await?;
        let pid = u32::try_from(container.runs().await?)?;
        let shim = Shim::of(container.id()).await?;
        let (of_shim, of_container) = succeeded(shim.connect(container.id()).await)?;
        assert_eq!(of_container, pid, "{runtime:?}");
        let command = std::fs::read_to_string(format!("/proc/{of_shim}/comm"))?;
        ensure!(command.starts_with("containerd-shim"), "{command}");
        for other in ["", "unknown"] {
            let described = succeeded(shim.connect(other).await)?;
            assert_eq!(described, (of_shim, 0), "{runtime:?}: {other:?}");
        }
    }
    drop(node);
    Ok(())
}

/// The library's default responses must not look like success.
#[tokio::test]
#[ignore = "needs root"]
async fn unsupported_calls_are_refused_with_a_message() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    let shim = Shim::of(container.id()).await?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().display().to_string();
    let (checkpoint, message) = shim
        .checkpoint(&path)
        .await
        .err()
        .unwrap_or((Code::OK, String::new()));
    assert_eq!(checkpoint, Code::UNIMPLEMENTED, "{message}");
    ensure!(message.contains("checkpoint"), "{message}");
    ensure!(std::fs::read_dir(directory.path())?.next().is_none());
    for resources in ["", "{", "7", "{\"memory\": {\"limit\": \"much\"}}"] {
        let updated = shim.update(resources).await;
        ensure!(updated.is_err(), "an update to {resources:?} succeeded");
    }
    assert_eq!(
        visits_tests::get(container.address(), "/").await?.status,
        200
    );
    Ok(())
}
