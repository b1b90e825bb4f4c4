//! `kubectl attach` and `kubectl debug` with a component.

use crate::cluster::Cluster;
use crate::execs::Exec;
use crate::images::BUSYBOX;
use crate::kubectl;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::sessions::Session;
use crate::specs;
use anyhow::{Result, ensure};
use serde_json::json;
use visits_tests::DEADLINE;
use visits_tests::command::Bounded;

/// Starts `kubectl attach`.
fn attach(namespace: &Namespace<'_>, arguments: &[&str]) -> Result<Session> {
    let line = [&["attach"], arguments].concat();
    Session::start(kubectl::command(namespace.words(&line))?)
}

#[tokio::test]
#[ignore = "needs the node: reads a process on it"]
async fn attach_shows_a_components_log_and_its_input_disturbs_nothing() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let mut component = specs::component("visits");
        component["args"] = json!(["--access-log"]);
        component["stdin"] = true.into();
        namespace.apply(specs::pod("counter", &[component])).await?;
        let pod = Pod::ready(namespace, "counter").await?;
        let process = pod.process(&cluster).await?;
        let input = cluster
            .shell(&format!("readlink /proc/{process}/fd/0"))
            .await?;
        ensure!(input.trim_end().ends_with("-stdin"), "its input is {input}");
        // The counter also logs requests for unknown paths, which kubectl reports as errors.
        let log = async |path: &str| drop(namespace.get("counter", path).await);
        let mut without = attach(namespace, &["counter"])?;
        without
            .prints("/first", async || log("/first").await)
            .await?;
        let mut with = attach(namespace, &["counter", "--stdin"])?;
        with.prints("/second", async || log("/second").await)
            .await?;
        // The component does not read its input.
        with.write(&[b'\n'; 1 << 16])?;
        drop(with);
        without
            .prints("/third", async || log("/third").await)
            .await?;
        without.check_running()?;
        namespace.get("counter", "/livez").await?;
        let pod = Pod::read(namespace, "counter").await?;
        pod.check_undisturbed()
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn attach_gives_a_native_program_its_input_up_to_the_end() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let mut native = specs::native("native", "wc -l; echo over");
        native["stdin"] = true.into();
        native["stdinOnce"] = true.into();
        let mut pod = specs::pod("reader", &[native]);
        pod["spec"]["restartPolicy"] = "Never".into();
        namespace.apply(pod).await?;
        Pod::once(namespace, "reader", "it runs", Pod::runs).await?;
        let attach = kubectl::command(namespace.words(&["attach", "--stdin", "reader"]))?;
        let lines = "line\n".repeat(30_000);
        Bounded::new(attach).input(lines).run_beside().await?;
        let ended = |pod: &Pod| pod.phase() == "Succeeded";
        Pod::once(namespace, "reader", "its program ended", ended).await?;
        let logs = namespace.kubectl(["logs", "reader"]).await?;
        ensure!(logs == "30000\nover\n", "{logs:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the node: compares namespaces of processes on it"]
async fn a_debug_container_sees_the_processes_of_a_component() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        namespace
            .apply(specs::pod("counter", &[specs::component("visits")]))
            .await?;
        let pod = Pod::ready(namespace, "counter").await?;
        let image = format!("--image={BUSYBOX}");
        let debug = [
            "debug",
            "counter",
            "--profile=baseline",
            &image,
            "--image-pull-policy=IfNotPresent",
            "--target=visits",
            "--container=debugger",
            "--",
            "sleep",
            "1000",
        ];
        namespace.kubectl(debug).await?;
        let running =
            "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}";
        namespace
            .wait(DEADLINE, ["wait", running, "pod/counter"])
            .await?;
        let exec = || Exec::of(namespace, "counter").container("debugger");
        // The kernel's name of a namespace is unique on the node.
        let seen = exec().text(&["readlink", "/proc/self/ns/pid"]).await?;
        let process = pod.process(&cluster).await?;
        let target = cluster
            .shell(&format!("readlink /proc/{process}/ns/pid"))
            .await?;
        ensure!(
            seen == target,
            "the debugger is in {seen}, the component in {target}"
        );
        let name = cluster.shell(&format!("cat /proc/{process}/comm")).await?;
        let first = exec().text(&["cat", "/proc/1/comm"]).await?;
        ensure!(
            first == name,
            "process 1 is {first}, the component's is {name}"
        );
        let user = exec().text(&["stat", "-c", "%u", "/proc/1"]).await?;
        ensure!(user == "65532\n", "process 1 has user {user}");
        let through = ["wget", "-q", "-O", "-", "http://127.0.0.1:5000/livez"];
        exec().text(&through).await?;
        let pod = Pod::read(namespace, "counter").await?;
        pod.check_undisturbed()
    })
    .await
}
