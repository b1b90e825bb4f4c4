//! The task API's answers about execs in every state: the shim's against those of runc's shim, call by call.

use crate::container::{Container, Kind, Runtime};
use crate::images;
use crate::node::Node;
use crate::task_api::{Called, Shim};
use anyhow::{Result, anyhow, ensure};
use containerd_shim_protos::api::Status;
use containerd_shim_protos::ttrpc::Code;

const TERM: u32 = 15;
const KILL: u32 = 9;

/// What a call came to, in a word: the code alone, for the messages are each shim's own.
fn code<T>(called: &Called<T>) -> String {
    match called {
        Ok(_) => "OK".to_owned(),
        Err((code, _)) => format!("{code:?}"),
    }
}

/// An error in spite of an expectation.
fn done<T>(called: Called<T>) -> Result<T> {
    called.map_err(|(code, message)| anyhow!("{code:?}: {message}"))
}

/// Every call on one exec, as far as it changes nothing.
async fn asked(shim: &Shim, exec: &str) -> Vec<(&'static str, String)> {
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

/// runc's shim passes many errors on without a code; a code is better than none.
fn is_as_good(here: &str, runc: &str) -> bool {
    here == runc || runc == "UNKNOWN" && here != "OK"
}

/// A second start fails. runc's shim miscounts its execs after one, and panics when the container ends.
async fn started_again(shim: &Shim, kind: Kind) -> Result<()> {
    if kind == Kind::Runc {
        return Ok(());
    }
    let again = code(&shim.start("one").await);
    ensure!(
        again != "OK" && again != "NOT_FOUND",
        "a second start: {again}"
    );
    Ok(())
}

/// A life with every call in every state, right and wrong ones.
async fn life(shim: &Shim, kind: Kind) -> Result<Vec<(String, String)>> {
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
            ("Kill", code(&shim.kill(unknown, TERM, false).await)),
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
    note("an exec that is added", asked(shim, "one").await);
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
    note("an exec that runs", asked(shim, "one").await);
    started_again(shim, kind).await?;
    note(
        "an exec that runs",
        vec![
            ("Delete", code(&shim.delete("one").await)),
            ("Kill with 0", code(&shim.kill("one", 0, false).await)),
            ("Kill", code(&shim.kill("one", KILL, false).await)),
            ("Wait", code(&shim.wait("one").await)),
        ],
    );
    note("an exec that has ended", asked(shim, "one").await);
    started_again(shim, kind).await?;
    note(
        "an exec that has ended",
        vec![
            ("Kill", code(&shim.kill("one", KILL, false).await)),
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
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let shim = Shim::of(container.id()).await?;
        seen.push(life(&shim, kind).await?);
        ensure!(!container.has_exited(), "{kind:?}");
    }
    for (kind, calls) in [("native", &seen[1]), ("wasm", &seen[2])] {
        let differ = calls
            .iter()
            .zip(&seen[0])
            .filter(|(here, runc)| here.0 != runc.0 || !is_as_good(&here.1, &runc.1));
        let told: Vec<String> = differ
            .map(|((call, here), (_, runc))| format!("{call}: {here}, under runc {runc}"))
            .collect();
        ensure!(
            told.is_empty() && calls.len() == seen[0].len(),
            "{kind}:\n{}",
            told.join("\n")
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_is_told_by_its_code_its_time_and_its_process() -> Result<()> {
    let node = Node::shared().await?;
    for kind in Kind::ALL {
        let container = kind.start(&node).await?;
        let init = container.runs().await?;
        let shim = Shim::of(container.id()).await?;
        done(shim.exec("one", &["sleep", "1000"]).await)?;
        let added = done(shim.state("one").await)?;
        assert_eq!(
            (added.pid, added.status.enum_value()),
            (0, Ok(Status::CREATED)),
            "{added}"
        );
        let pid = done(shim.start("one").await)?.pid;
        let running = done(shim.state("one").await)?;
        assert_eq!(
            (running.pid, running.status.enum_value()),
            (pid, Ok(Status::RUNNING))
        );
        let pids = done(shim.pids().await)?.processes;
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
        done(shim.kill("one", TERM, false).await)?;
        let waited = done(shim.wait("one").await)?;
        let stopped = done(shim.state("one").await)?;
        let deleted = done(shim.delete("one").await)?;
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

/// The ids are the container's own, and the init's calls stay the init's.
#[tokio::test]
#[ignore = "needs root"]
async fn once_the_first_process_has_ended_no_exec_starts() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000").runtime(runtime);
        // Detached, so that nobody removes the task when it ends.
        let container = container.flag("--detach").spawn().await?;
        let pid = container.runs().await?;
        let shim = Shim::of(container.id()).await?;
        done(shim.exec("added", &["sleep", "1000"]).await)?;
        done(shim.exec("runs", &["sleep", "1000"]).await)?;
        done(shim.start("runs").await)?;
        crate::process::kill(pid, visits_tests::Signal::KILL)?;
        done(shim.wait("").await)?;
        let exec = done(shim.wait("runs").await)?;
        assert_eq!(exec.exit_status, 137, "{runtime:?}");
        let calls = [
            ("Start", code(&shim.start("added").await)),
            (
                "Kill of the exec",
                code(&shim.kill("runs", KILL, false).await),
            ),
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

/// Nothing that the library would answer for the shim looks like success.
#[tokio::test]
#[ignore = "needs root"]
async fn what_the_shim_cannot_do_is_refused_with_a_message() -> Result<()> {
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
        ensure!(
            updated.is_err(),
            "an update to {resources:?} looks like success"
        );
    }
    assert_eq!(
        visits_tests::get(container.address(), "/").await?.status,
        200
    );
    Ok(())
}
