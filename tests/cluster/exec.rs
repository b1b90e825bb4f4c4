//! `kubectl exec` in a counter: the Python app's way to read the count, and commands as under runc.

use crate::cluster::Cluster;
use crate::execs::{Exec, Transport};
use crate::load::Load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::shell::Shell;
use crate::stateful_set::{REPLICAS, StatefulSet};
use crate::traces::Traces;
use crate::{specs, visitors};
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;

/// The command line of the Python app's operators, where N stands for a pod's number.
const LINE: &str = r#"kubectl exec pod/visits-N -- cat /app/persistent/visits.bin | python3 -c 'from sys import stdin; print(int.from_bytes(stdin.buffer.read(), "little"))'"#;

/// The file in that line.
const VISITS_BIN: &str = "/app/persistent/visits.bin";

/// The hint that a component's container adds to the error for an unknown program.
const HINT: &str = "this container serves a WebAssembly component and has no shell: run \"help\"";

async fn read_all(shell: &Shell) -> Result<[u64; REPLICAS]> {
    let read = async |number: usize| -> Result<u64> {
        let printed = shell.run(&LINE.replace('N', &number.to_string())).await?;
        Ok(printed.trim().parse()?)
    };
    let counts = try_join_all((0..REPLICAS).map(read)).await?;
    Ok(counts.try_into().expect("one for each pod"))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_python_apps_line_reads_every_count_under_load() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let shell = Shell::new(namespace).await?;
        let address = counters.address().await?;
        let mut served = visitors::visits_to_all(address).await?;
        let idle = read_all(&shell).await?;
        served.were_counted([0; REPLICAS], idle)?;
        let load = Load::start(address);
        load.goes_on(100).await?;
        let first = read_all(&shell).await?;
        load.goes_on(100).await?;
        let second = read_all(&shell).await?;
        load.goes_on(100).await?;
        let report = load.end().await?;
        let last = read_all(&shell).await?;
        for later in [[idle, first], [first, second], [second, last]] {
            let [before, after] = later;
            let grown = before
                .iter()
                .zip(&after)
                .all(|(before, after)| before <= after);
            ensure!(grown, "from {before:?} to {after:?}");
            let sums: [u64; 2] = later.map(|counts| counts.iter().sum());
            ensure!(sums[0] < sums[1], "from {before:?} to {after:?}");
        }
        report.no_visit_failed()?;
        served.merge(report.served);
        let (counted, acknowledged) = (last.iter().sum::<u64>(), served.total());
        ensure!(
            counted == acknowledged,
            "{counted} counted, {acknowledged} acknowledged"
        );
        served.were_counted([0; REPLICAS], last)?;
        ensure!(counters.counts().await? == last);
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: lists processes, mounts and files on it"]
async fn two_hundred_execs_in_parallel_leave_nothing_and_cost_no_visit() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let counters = StatefulSet::start(namespace, &Manifests::only_people_count()).await?;
        let address = counters.address().await?;
        let mut served = visitors::visits_to_all(address).await?;
        // The first exec in a container opens descriptors that stay open.
        let first = counters.counts().await?;
        for (number, count) in first.iter().enumerate() {
            let read = Exec::of(namespace, &format!("visits-{number}"));
            ensure!(read.bytes(&["cat", VISITS_BIN]).await? == count.to_le_bytes());
        }
        let before = counters.pods().await?;
        let traces = Traces::of(&cluster, &before).await?;
        let load = Load::start(address);
        load.goes_on(100).await?;
        let execs = (0..200).map(async |number: usize| -> Result<()> {
            let exec = Exec::of(namespace, &format!("visits-{}", number % REPLICAS));
            let exec = exec.over(Transport::ALL[number / REPLICAS % 2]).yielding();
            let line = format!("exec {number}");
            let printed = exec.text(&["echo", &line]).await?;
            ensure!(printed == format!("{line}\n"), "{line} printed {printed:?}");
            Ok(())
        });
        try_join_all(execs).await?;
        load.goes_on(100).await?;
        let report = load.end().await?;
        report.no_visit_failed()?;
        served.merge(report.served);
        served.were_counted([0; REPLICAS], counters.counts().await?)?;
        for (before, after) in before.iter().zip(counters.pods().await?) {
            ensure!(
                before.container_id()? == after.container_id()?,
                "{} was restarted",
                after.name()
            );
            ensure!(after.is_ready(), "{} is not ready", after.name());
        }
        traces.wait_for_no_others(&cluster).await
    })
    .await
}

/// Upstream: "Pods should support remote command execution over websockets".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_components_commands_behave_the_same_over_websockets_and_spdy() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        namespace
            .apply(specs::pod("counter", &[specs::component("visits")]))
            .await?;
        Pod::ready(namespace, "counter").await?;
        let bytes: Vec<u8> = (0_u32..400_000).flat_map(u32::to_le_bytes).collect();
        for transport in Transport::ALL {
            let exec = || Exec::of(namespace, "counter").over(transport);
            let help = exec().text(&["help"]).await?;
            for tool in ["cat", "ls", "od", "tar", "sha256sum", "sleep"] {
                let listed = help
                    .lines()
                    .any(|line| line.split_whitespace().next() == Some(tool));
                ensure!(listed, "{tool} is not in {help}");
            }
            let echoed = exec().input(bytes.clone()).bytes(&["cat"]).await?;
            ensure!(
                echoed == bytes,
                "{transport:?}: {} bytes were returned",
                echoed.len()
            );
            let failed = exec().refused(&["false"]).await?;
            ensure!(failed.contains("exit code 1"), "{failed}");
            let websocket = failed.contains(Transport::WEBSOCKET_LOG);
            ensure!(
                websocket == (transport == Transport::WebSocket),
                "{transport:?}: {failed}"
            );
            let failed = exec().refused(&["cat", "/no/such/file"]).await?;
            ensure!(
                failed.contains("/no/such/file: No such file or directory"),
                "{failed}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_unknown_program_is_refused_as_under_runc_with_a_hint_from_a_component() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let sleep = "exec sleep 1000";
        namespace
            .apply(specs::pod("component", &[specs::component("visits")]))
            .await?;
        namespace
            .apply(specs::pod("native", &[specs::native("sleep", sleep)]))
            .await?;
        let mut runc = specs::pod("runc", &[specs::native("sleep", sleep)]);
        runc["spec"]["runtimeClassName"] = json!(null);
        namespace.apply(runc).await?;
        for pod in ["component", "native", "runc"] {
            Pod::ready(namespace, pod).await?;
        }
        for name in ["nope", "/no/such/program", "/app"] {
            let runc = Exec::of(namespace, "runc").refused(&[name]).await?;
            for pod in ["component", "native"] {
                let refused = Exec::of(namespace, pod).refused(&[name]).await?;
                for part in [cause(&runc), code(&runc)] {
                    ensure!(
                        refused.contains(part),
                        "under runc: {runc}\nin {pod}: {refused}"
                    );
                }
                // The hint is optional for a path, which is never a tool's name.
                let hinted = refused.contains(HINT);
                let expected = pod == "component" && (name == "nope" || hinted);
                ensure!(hinted == expected, "{pod}: {refused}");
            }
        }
        let shell = Exec::of(namespace, "component")
            .refused(&["sh", "-c", "date"])
            .await?;
        ensure!(shell.contains(HINT), "{shell}");
        for pod in ["native", "runc"] {
            let failed = Exec::of(namespace, pod)
                .refused(&["sh", "-c", "exit 42"])
                .await?;
            ensure!(failed.contains("exit code 42"), "{pod}: {failed}");
        }
        Ok(())
    })
    .await
}

/// Returns the runtime's message without containerd's ids before it.
fn cause(refused: &str) -> &str {
    let start = refused.find("OCI runtime exec failed").unwrap_or_default();
    refused[start..]
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end()
}

/// Returns kubectl's exit code.
fn code(refused: &str) -> &str {
    let start = refused.find("exit status").unwrap_or_default();
    refused[start..].split(';').next().unwrap_or_default()
}
