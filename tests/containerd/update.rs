//! Limits that change while a container runs, as kubelet changes them when a pod is resized in place.

use crate::cri::{HANDLER, Pod, PodContainer, Setup};
use crate::node::Node;
use crate::volumes::volume;
use crate::{cgroup, images};
use anyhow::{Result, ensure};
use visits_tests::load::{self, visits_bin};
use visits_tests::{DEADLINE, get, wait};

const MIB: u64 = 1 << 20;

fn memory(mebibytes: u64) -> String {
    format!("--memory={}", mebibytes * MIB)
}

#[tokio::test]
#[ignore = "needs root"]
async fn limits_are_in_the_cgroup_as_runc_writes_them() -> Result<()> {
    let node = Node::shared().await?;
    let steps: [&[&str]; 5] = [
        &["--memory=100663296"],
        &[
            "--cpu-share=512",
            "--cpu-period=100000",
            "--cpu-quota=50000",
        ],
        &[
            "--memory=50331648",
            "--cpu-quota=20000",
            "--cpu-period=50000",
        ],
        &["--memory=134217728", "--cpu-share=2048", "--cpuset-cpus=0"],
        &["--cpu-share=2", "--cpu-period=100000", "--cpu-quota=-1"],
    ];
    let mut seen = Vec::new();
    for handler in ["runc", HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let setup = Setup::native("exec sleep 1000").memory(64 * MIB);
        let container = pod.run(&node, setup).await?;
        let own = cgroup::of(container.pid().await?, "memory")?;
        let mut limits = vec![cgroup::limits(&own)?];
        for step in steps {
            container
                .update(step)
                .await
                .map_err(|error| error.context(format!("{handler}: {step:?}")))?;
            limits.push(cgroup::limits(&own)?);
        }
        ensure!(
            limits[0] != limits[1] && limits[1] != limits[2],
            "{handler}: {limits:?}"
        );
        seen.push(limits);
    }
    assert_eq!(seen[1], seen[0]);
    Ok(())
}

/// A probe in a pod, and whether it can take so much memory.
struct Probe {
    pod: Pod,
    container: PodContainer,
    pid: i32,
    cgroup: String,
}

impl Probe {
    async fn start(node: &Node, setup: Setup) -> Result<Self> {
        let pod = Pod::start(node, HANDLER).await?;
        let container = pod.run(node, setup).await?;
        container.listens(&pod, node).await?;
        let pid = container.pid().await?;
        let cgroup = cgroup::of(pid, "memory")?;
        Ok(Self {
            pod,
            container,
            pid,
            cgroup,
        })
    }

    /// Asks until the answer is one of an instance: the one before may have ended at its ceiling.
    async fn takes(&self, mebibytes: u64) -> Result<bool> {
        let path = format!("/take?mebibytes={mebibytes}");
        let reply = wait::until("the probe answers", DEADLINE, async || {
            Ok(get(self.pod.address(), &path)
                .await
                .ok()
                .filter(|reply| reply.status != 503))
        })
        .await?;
        ensure!(
            [200, 500].contains(&reply.status.as_u16()),
            "{}",
            reply.text()
        );
        Ok(reply.status == 200)
    }

    /// Ends the instance, which gives its memory back.
    async fn forget(&self) -> Result<()> {
        get(self.pod.address(), "/trap").await.map(drop)
    }

    async fn update(&self, mebibytes: u64) -> Result<()> {
        self.container.update(&[&memory(mebibytes)]).await?;
        assert_eq!(cgroup::memory_limit(&self.cgroup)?, mebibytes * MIB);
        Ok(())
    }

    async fn is_the_same(&self) -> Result<()> {
        assert_eq!(self.container.pid().await?, self.pid, "it was started anew");
        assert_eq!(self.container.status().await?["state"], "CONTAINER_RUNNING");
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_components_ceiling_follows_the_limit_up_and_down_without_a_restart() -> Result<()> {
    let node = Node::shared().await?;
    // A ceiling of 48 MiB, three quarters of the limit; then 96, the instance that runs included; then 48 again.
    let probe = Probe::start(&node, Setup::of(images::PROBE).memory(64 * MIB)).await?;
    ensure!(probe.takes(30).await?, "30 MiB with a limit of 64");
    ensure!(!probe.takes(60).await?, "60 MiB with a limit of 64");
    ensure!(probe.takes(20).await?, "20 MiB after that");
    probe.update(128).await?;
    ensure!(probe.takes(80).await?, "80 MiB with a limit of 128");
    ensure!(!probe.takes(110).await?, "110 MiB with a limit of 128");
    probe.forget().await?;
    // What the instance had may take a moment to be given back.
    wait::until("the limit goes down", DEADLINE, async || {
        Ok(probe.update(64).await.ok())
    })
    .await?;
    ensure!(!probe.takes(60).await?, "60 MiB with a limit of 64 again");
    ensure!(probe.takes(30).await?, "30 MiB with a limit of 64 again");
    probe.is_the_same().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_limit_below_what_is_used_is_refused_and_nothing_changes() -> Result<()> {
    let node = Node::shared().await?;
    let probe = Probe::start(&node, Setup::of(images::PROBE).memory(128 * MIB)).await?;
    ensure!(probe.takes(80).await?, "80 MiB with a limit of 128");
    let before = cgroup::limits(&probe.cgroup)?;
    let used = cgroup::memory(&probe.cgroup)?;
    ensure!(used > 80 * MIB, "it uses {used}");
    let updated = probe
        .container
        .update(&[&memory(48), "--cpu-share=512"])
        .await;
    let refused = updated
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    // containerd passes the reason on, in the words of the shim.
    ensure!(
        refused.contains("use") && refused.contains("memory"),
        "not refused with a reason: {refused:?}"
    );
    assert_eq!(cgroup::limits(&probe.cgroup)?, before);
    ensure!(probe.takes(80).await?, "80 MiB after it");
    ensure!(!probe.takes(120).await?, "120 MiB after it");
    probe.is_the_same().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_ceiling_that_the_operator_has_set_stays_where_it_is() -> Result<()> {
    let node = Node::shared().await?;
    let command = ["/app/spin.toml", "--memory-limit", "32MiB"];
    let setup = Setup::of(images::PROBE).command(command).memory(64 * MIB);
    let probe = Probe::start(&node, setup).await?;
    for limit in [64, 256, 96] {
        probe.update(limit).await?;
        ensure!(probe.takes(20).await?, "20 MiB with a limit of {limit}");
        ensure!(!probe.takes(50).await?, "50 MiB with a limit of {limit}");
    }
    probe.is_the_same().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_counter_that_is_resized_under_load_loses_no_visit() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let pod = Pod::start(&node, HANDLER).await?;
    let setup = Setup::of(images::VISITS)
        .volume(volume.path(), "/app/persistent")
        .memory(64 * MIB);
    let container = pod.run(&node, setup).await?;
    container.listens(&pod, &node).await?;
    let pid = container.pid().await?;
    let resize = async {
        for round in 0..10 {
            let (limit, share) = if round % 2 == 0 {
                (128, "512")
            } else {
                (64, "1024")
            };
            container
                .update(&[&memory(limit), &format!("--cpu-share={share}")])
                .await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (visits, resized) = futures::join!(load::visits(pod.address(), 8, 250), resize);
    resized?;
    load::assert_exactly(visits?, 1, 2000);
    assert_eq!(visits_bin(volume.path())?, 2000);
    assert_eq!(container.pid().await?, pid);
    let own = cgroup::of(pid, "memory")?;
    assert_eq!(cgroup::memory_limit(&own)?, 64 * MIB);
    Ok(())
}
