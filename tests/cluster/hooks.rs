//! Lifecycle hooks that run a command, and sidecars with such hooks, as a service mesh injects its proxy.

use crate::cluster::Cluster;
use crate::execs::Exec;
use crate::kubectl::POD;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::specs::{self, VOLUME};
use anyhow::{Result, ensure};
use serde_json::json;

/// Upstream: "Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart exec hook properly" and
/// "… should execute prestop exec hook properly".
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_component_runs_its_post_start_and_pre_stop_commands() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let (dead, stopped, started) = (
            format!("{VOLUME}/dead"),
            format!("{VOLUME}/stopped"),
            format!("{VOLUME}/started"),
        );
        let mut component = specs::component("visits");
        // Only the preStop hook removes the file. Without the hook kubelet would restart every later container.
        component["lifecycle"] = json!({
            "postStart": specs::exec(&["cp", "/app/spin.toml", &started]),
            "preStop": specs::exec(&["mv", &dead, &stopped]),
        });
        component["livenessProbe"] = specs::exec(&["test", "!", "-e", &dead]);
        component["livenessProbe"]["periodSeconds"] = 1.into();
        component["livenessProbe"]["failureThreshold"] = 1.into();
        component["livenessProbe"]["timeoutSeconds"] = 20.into();
        let mut pod = specs::pod("counter", &[component]);
        pod["spec"]["terminationGracePeriodSeconds"] = 30.into();
        namespace.apply(pod).await?;
        Pod::ready(namespace, "counter").await?;
        let exec = || Exec::of(namespace, "counter");
        let manifest = exec().bytes(&["cat", "/app/spin.toml"]).await?;
        ensure!(exec().bytes(&["cat", &started]).await? == manifest);

        exec().text(&["touch", &dead]).await?;
        let restarted = |pod: &Pod| pod.restarts() == 1 && pod.is_ready();
        Pod::once(namespace, "counter", "it is restarted", restarted).await?;
        let files = exec().text(&["ls", VOLUME]).await?;
        ensure!(files.lines().eq(["started", "stopped"]), "{files}");
        let pod = Pod::read(namespace, "counter").await?;
        ensure!(
            pod.last_end()["exitCode"] == 0,
            "it did not end by itself: {}",
            pod.last_end()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_native_sidecar_waits_in_its_post_start_command_until_its_proxy_responds() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        // kubelet runs the hook beside the program, so each waits for the other.
        let mut proxy = specs::native(
            "proxy",
            "until [ -e /app/persistent/requested ]; do sleep 0.1; done\n\
             mkdir /tmp/www; echo ready > /tmp/www/ready\n\
             exec httpd -f -p 127.0.0.1:15021 -h /tmp/www",
        );
        proxy["restartPolicy"] = "Always".into();
        proxy["lifecycle"]["postStart"] = specs::exec(&[
            "/bin/sh",
            "-euc",
            "request() { wget -q -O /app/persistent/proxied http://127.0.0.1:15021/ready; }\n\
             touch /app/persistent/requested\n\
             until request; do sleep 0.1; done",
        ]);
        let mut component = specs::component("visits");
        // If the proxy has not responded yet, the hook fails and kubelet restarts the component.
        let responded = specs::exec(&["test", "-s", "/app/persistent/proxied"]);
        component["lifecycle"]["postStart"] = responded;
        let mut pod = specs::pod("meshed", &[component]);
        pod["spec"]["initContainers"] = json!([proxy]);
        namespace.apply(pod).await?;
        let pod = Pod::ready(namespace, "meshed").await?;
        pod.check_not_restarted()?;
        let through = ["wget", "-q", "-O", "-", "http://127.0.0.1:5000/livez"];
        Exec::of(namespace, "meshed")
            .container("proxy")
            .text(&through)
            .await?;
        let proxied = ["cat", "/app/persistent/proxied"];
        let proxied = Exec::of(namespace, "meshed").text(&proxied).await?;
        ensure!(proxied == "ready\n", "{proxied:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_exec_in_a_native_init_container_lets_the_pod_go_on() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let mut pod = specs::pod("counter", &[specs::component("visits")]);
        let waits = "until [ -e /tmp/go ]; do sleep 0.1; done";
        pod["spec"]["initContainers"] = json!([specs::native("first", waits)]);
        namespace.apply(pod).await?;
        let first = "--for=jsonpath={.status.initContainerStatuses[0].started}=true";
        namespace.wait(POD, ["wait", first, "pod/counter"]).await?;
        let exec = Exec::of(namespace, "counter").container("first");
        exec.text(&["touch", "/tmp/go"]).await?;
        Pod::ready(namespace, "counter").await?;
        Ok(())
    })
    .await
}
