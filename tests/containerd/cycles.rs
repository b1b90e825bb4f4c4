//! Many containers, one after the other, and nothing left of them.

use crate::container::{Container, Runtime};
use crate::cri::{HANDLER, Pod, Setup};
use crate::images;
use crate::leftovers::Leftovers;
use crate::node::Node;
use anyhow::Result;
use visits_tests::load;

async fn leave_nothing(runtime: Runtime, cycles: u32) -> Result<()> {
    let node = Node::alone().await?;
    let mut before = Leftovers::now()?;
    for cycle in 0..=cycles {
        if cycle == 1 {
            // The first makes directories for all that follow.
            before = Leftovers::now()?;
        }
        let builder = match runtime {
            Runtime::Preopen => Container::of(images::VISITS),
            Runtime::Runc => {
                Container::native("trap 'exit 0' TERM; httpd -p 5000 -h /tmp; sleep 1000 & wait")
            }
        };
        let container = builder.runtime(runtime).start(&node).await?;
        if runtime == Runtime::Preopen {
            assert_eq!(
                load::visits(container.address(), 1, 1).await?,
                [1],
                "cycle {cycle}"
            );
        }
        assert_eq!(container.stop(&node).await?.code, 0, "cycle {cycle}");
        container.remove().await?;
    }
    before.are_all_there_is(&node).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_containers_leave_nothing_which_proves_the_harness() -> Result<()> {
    leave_nothing(Runtime::Runc, 2).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_hundred_containers_leave_no_process_mount_cgroup_or_file() -> Result<()> {
    leave_nothing(Runtime::Preopen, 100).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn ten_pods_leave_no_process_mount_cgroup_or_file() -> Result<()> {
    let node = Node::alone().await?;
    let mut before = Leftovers::now()?;
    for cycle in 0..=10 {
        if cycle == 1 {
            before = Leftovers::now()?;
        }
        let pod = Pod::start(&node, HANDLER).await?;
        let container = pod.run(&node, Setup::of(images::HELLO)).await?;
        container.listens(&pod, &node).await?;
        pod.stop().await?;
        let cgroup = pod.cgroup().to_owned();
        drop(pod);
        // The pod's own cgroup is kubelet's to make and to remove.
        for directory in crate::cgroup::below(&cgroup)? {
            let _ = std::fs::remove_dir(directory);
        }
    }
    before.are_all_there_is(&node).await
}
