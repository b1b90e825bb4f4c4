//! Limits that are changed while a container runs, as kubelet does for an in-place resize of a pod.

use crate::cri::{HANDLER, Pod, PodContainer, RUNC, Setup};
use crate::node::Node;
use crate::volumes::volume;
use crate::{cgroup, images};
use anyhow::{Context, Result, ensure};
use visits_tests::load::{self, visits_bin};
use visits_tests::{DEADLINE, get, wait};

const MIB: u64 = 1 << 20;

/// Returns the flag of `crictl update` for this memory limit.
fn memory(mebibytes: u64) -> String {
    format!("--memory={}", mebibytes * MIB)
}

#[tokio::test]
#[ignore = "needs root"]
async fn updated_limits_are_written_to_the_cgroup_as_under_runc() -> Result<()> {
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
    for handler in [RUNC, HANDLER] {
        let pod = Pod::start(&node, handler).await?;
        let setup = Setup::native("exec sleep 1000").memory(64 * MIB);
        let container = pod.run(&node, setup).await?;
        let own = cgroup::of(container.pid().await?, "memory")?;
        let mut limits = vec![cgroup::limits(&own)?];
        for step in steps {
            let updated = container.update(step).await;
            updated.with_context(|| format!("{handler}: {step:?}"))?;
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

/// A component in a pod that allocates memory on request.
struct Probe {
    pod: Pod,
    container: PodContainer,
    pid: i32,
    cgroup: String,
}

impl Probe {
    async fn start(node: &Node, setup: Setup) -> Result<Self> {
        let (pod, container) = Pod::serving(node, setup).await?;
        let pid = container.pid().await?;
        let cgroup = cgroup::of(pid, "memory")?;
        Ok(Self {
            pod,
            container,
            pid,
            cgroup,
        })
    }

    /// Whether the component can allocate this much. Retries while the response is 503: the last instance may have ended at
    /// its limit.
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

    /// Ends the instance, which frees its memory.
    async fn trap(&self) -> Result<()> {
        get(self.pod.address(), "/trap").await.map(drop)
    }

    /// Changes the memory limit and checks it in the cgroup.
    async fn update(&self, mebibytes: u64) -> Result<()> {
        self.container.update(&[&memory(mebibytes)]).await?;
        assert_eq!(cgroup::memory_limit(&self.cgroup)?, mebibytes * MIB);
        Ok(())
    }

    /// Fails if the container was restarted.
    async fn is_the_same(&self) -> Result<()> {
        assert_eq!(
            self.container.pid().await?,
            self.pid,
            "the container was restarted"
        );
        self.container.is_running().await
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_components_memory_limit_follows_the_containers_without_a_restart() -> Result<()> {
    let node = Node::shared().await?;
    // The component's limit is three quarters of the container's: 48 MiB, then 96, also for the running instance, then 48.
    let probe = Probe::start(&node, Setup::of(images::PROBE).memory(64 * MIB)).await?;
    ensure!(probe.takes(30).await?, "30 MiB with a limit of 64");
    ensure!(!probe.takes(60).await?, "60 MiB with a limit of 64");
    ensure!(probe.takes(20).await?, "20 MiB after that");
    probe.update(128).await?;
    ensure!(probe.takes(80).await?, "80 MiB with a limit of 128");
    ensure!(!probe.takes(110).await?, "110 MiB with a limit of 128");
    probe.trap().await?;
    // The instance's memory may be freed a moment later.
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
async fn a_limit_below_the_usage_is_refused_and_changes_nothing() -> Result<()> {
    let node = Node::shared().await?;
    let probe = Probe::start(&node, Setup::of(images::PROBE).memory(128 * MIB)).await?;
    ensure!(probe.takes(80).await?, "80 MiB with a limit of 128");
    let before = cgroup::limits(&probe.cgroup)?;
    let used = cgroup::memory(&probe.cgroup)?;
    ensure!(used > 80 * MIB, "the container uses only {used} bytes");
    let updated = probe
        .container
        .update(&[&memory(48), "--cpu-share=512"])
        .await;
    let refused = updated
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    // containerd passes on the shim's message.
    ensure!(
        refused.contains("memory limit") && refused.contains(&(48 * MIB).to_string()),
        "not refused with a reason: {refused:?}"
    );
    assert_eq!(cgroup::limits(&probe.cgroup)?, before);
    ensure!(probe.takes(80).await?, "80 MiB after it");
    ensure!(!probe.takes(120).await?, "120 MiB after it");
    probe.is_the_same().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_limit_set_by_the_operator_does_not_change() -> Result<()> {
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
async fn a_counter_resized_under_load_loses_no_visit() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let setup = Setup::visits(volume.path()).memory(64 * MIB);
    let (pod, container) = Pod::serving(&node, setup).await?;
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
