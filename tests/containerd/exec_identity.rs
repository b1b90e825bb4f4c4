//! The identity of an exec: its rights and namespaces are those of the container's first process, and for native programs
//! also those of an exec under runc.

use crate::container::{Container, ContainerBuilder, Exec, ExecBuilder, Runtime, Workload};
use crate::cri::{self, Pod};
use crate::images;
use crate::node::Node;
use crate::rights::{Fields, descriptors, granted, memberships, same};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use visits_tests::{DEADLINE, wait};

/// Starts `cat` and waits until it runs, so that the process is no longer the runtime's own.
async fn running(builder: ExecBuilder) -> Result<Exec> {
    let mut exec = builder.start()?;
    exec.echoes("ready\n").await?;
    Ok(exec)
}

/// Returns sets of flags that change the identity of a container's processes, each with a name.
fn flag_sets() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("as root", vec![]),
        ("as another user", vec!["--user=65532:65532"]),
        ("with seccomp", vec!["--seccomp", "--user=65532:65532"]),
        (
            "with other capabilities",
            vec![
                "--cap-drop=CAP_CHOWN",
                "--cap-add=CAP_SYS_TIME",
                "--allow-new-privs",
            ],
        ),
        (
            "elsewhere",
            vec!["--cwd=/run", "--env=GIVEN=to all", "--read-only"],
        ),
    ]
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_exec_is_who_it_is_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    for (what, flags) in flag_sets() {
        let mut seen = Vec::new();
        for runtime in Runtime::BOTH {
            let builder = Container::native("sleep 1000; true").runtime(runtime);
            let container = builder.flags(&flags).spawn().await?;
            let init = container.runs().await?;
            let exec = running(container.exec(["cat"])).await?;
            let pid = exec.pid().await?;
            let what = format!("{what}, {runtime:?}: the exec, and the first process");
            same(&what, &memberships(pid)?, &memberships(init)?)?;
            assert_eq!(descriptors(pid)?, BTreeSet::from([0, 1, 2]), "{what}");
            seen.push((granted(pid)?, granted(init)?));
            exec.killed(&node).await?;
        }
        same(
            &format!("{what}: the exec, and runc's"),
            &seen[1].0,
            &seen[0].0,
        )?;
        same(
            &format!("{what}: the first process, and runc's"),
            &seen[1].1,
            &seen[0].1,
        )?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_exec_in_a_restricted_pod_is_who_it_is_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for workload in [Workload::Runc, Workload::Native] {
        let (pod, container) = Pod::of(workload, &node).await?;
        let exec = running(container.exec(["cat"])).await?;
        let pid = exec.pid().await?;
        same(
            cri::handler(workload),
            &memberships(pid)?,
            &memberships(container.pid().await?)?,
        )?;
        let mut granted = granted(pid)?;
        // HOSTNAME is the pod's own.
        let environment = granted.get_mut("environ").context("no environment")?;
        *environment = environment.replace(pod.name(), "POD");
        seen.push(granted);
        exec.signal("SIGKILL").await?;
    }
    assert_eq!(seen[1]["CapBnd"], "0000000000000000");
    assert_eq!(seen[1]["Seccomp"], "2");
    same("the exec, and runc's", &seen[1], &seen[0])
}

/// Returns the rights of a WASI command and of the component beside it, after checking that the command's process, which
/// runs the shim's program, has nothing of the node.
async fn wasm(node: &Node, builder: ContainerBuilder) -> Result<[Fields; 2]> {
    let container = builder.start(node).await?;
    let init = container.runs().await?;
    let exec = container.exec(["command", "loop"]).start()?;
    exec.prints("looping").await?;
    let pid = exec.pid().await?;
    same(
        "the exec, and the first process",
        &memberships(pid)?,
        &memberships(init)?,
    )?;
    for number in descriptors(pid)? {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}"))?;
        let target = target.display().to_string();
        // Directories of the node. The name of a memfd is shown with a slash in front.
        let nodes = ["/run/", "/tmp/", "/var/", "/dev/pts", "/memfd:"];
        let foreign = nodes.iter().any(|start| target.starts_with(start));
        ensure!(number <= 2 || !foreign, "descriptor {number} is {target}");
    }
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name().to_string_lossy().parse()?;
        same(
            "a thread, and its process",
            &restrictions(thread)?,
            &restrictions(pid)?,
        )?;
    }
    let fields = [granted(pid)?, granted(init)?];
    exec.killed(node).await?;
    Ok(fields)
}

/// Makes the rights of a program under runc those of a process that executes only WebAssembly.
fn stricter(mut native: Fields) -> Result<Fields> {
    let filters: u32 = native["Seccomp_filters"].parse()?;
    for (name, value) in [
        ("CapBnd", "0000000000000000".to_owned()),
        ("NoNewPrivs", "1".to_owned()),
        ("Seccomp", "2".to_owned()),
        ("Seccomp_filters", (filters + 1).to_string()),
    ] {
        native.insert(name.to_owned(), value);
    }
    Ok(native)
}

/// Returns the rights that each thread has of its own.
fn restrictions(pid: i32) -> Result<Fields> {
    let mut fields = granted(pid)?;
    let kept = ["Uid", "Gid", "Groups", "NoNewPrivs"];
    fields.retain(|name, _| {
        name.starts_with("Cap") || name.starts_with("Seccomp") || kept.contains(&name.as_str())
    });
    Ok(fields)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_wasm_exec_is_who_the_component_is_and_that_is_who_runc_would_make_it() -> Result<()> {
    let node = Node::shared().await?;
    for (what, flags) in flag_sets() {
        let with = |builder: ContainerBuilder| {
            let shared = ["--user=65532:65532", "--env=PATH=/opt:/bin"];
            builder.flags(shared).flags(&flags)
        };
        let builder = with(Container::of(images::COMMANDS));
        let [exec, init] = wasm(&node, builder).await.context(what)?;
        let differ = |fields: &Fields| -> Fields {
            let mut fields = fields.clone();
            // The server sets its own signal handling and disables huge pages.
            for name in ["SigBlk", "SigIgn", "THP_enabled"] {
                fields.remove(name);
            }
            fields
        };
        same(
            &format!("{what}: the exec, and the component"),
            &differ(&exec),
            &differ(&init),
        )?;
        for (who, fields) in [("the exec", &exec), ("the component", &init)] {
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(fields[set], "0000000000000000", "{what}: {set} of {who}");
            }
        }
        let native = with(Container::native("sleep 1000; true"));
        let native = native.runtime(Runtime::Runc).spawn().await?;
        let pid = native.runs().await?;
        wait::until("the program is executed", DEADLINE, async || {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
            Ok(line.starts_with("/tools/sh").then_some(()))
        })
        .await?;
        let native = stricter(restrictions(pid)?)?;
        let mut own = exec.clone();
        own.retain(|name, _| native.contains_key(name));
        same(
            &format!("{what}: the exec, and a program under runc"),
            &own,
            &native,
        )?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_wasm_exec_in_a_restricted_pod_has_nothing_that_the_pod_does_not_give() -> Result<()> {
    let node = Node::shared().await?;
    let (_pod, container) = Pod::of(Workload::Wasm, &node).await?;
    let exec = container.exec(["command", "loop"]).start()?;
    exec.prints("looping").await?;
    let (pid, init) = (exec.pid().await?, container.pid().await?);
    same(
        "the exec, and the component",
        &restrictions(pid)?,
        &restrictions(init)?,
    )?;
    same(
        "the exec, and the component",
        &memberships(pid)?,
        &memberships(init)?,
    )?;
    let fields = granted(pid)?;
    for (name, value) in [
        ("CapBnd", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", "65532\t65532\t65532\t65532"),
    ] {
        assert_eq!(fields[name], value, "{name}");
    }
    exec.signal("SIGKILL").await?;
    Ok(())
}
