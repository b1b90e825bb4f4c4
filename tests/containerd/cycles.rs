//! Many containers in sequence leave nothing on the node.

use crate::container::{Container, Runtime};
use crate::cri::{Pod, Setup};
use crate::images;
use crate::leftovers::cycles_leave_nothing;
use crate::node::Node;
use anyhow::Result;
use visits_tests::load;

async fn leave_nothing(runtime: Runtime, cycles: u32) -> Result<()> {
    let node = Node::alone().await?;
    let builder = match runtime {
        Runtime::Preopen => Container::of(images::VISITS),
        Runtime::Runc => {
            Container::native("trap 'exit 0' TERM; httpd -p 5000 -h /tmp; sleep 1000 & wait")
        }
    };
    cycles_leave_nothing(&node, cycles, &[], async |cycle| {
        let container = builder.clone().runtime(runtime).start(&node).await?;
        if runtime == Runtime::Preopen {
            let visits = load::visits(container.address(), 1, 1).await?;
            assert_eq!(visits, [1], "cycle {cycle}");
        }
        assert_eq!(container.stop(&node).await?.code, 0, "cycle {cycle}");
        container.remove().await
    })
    .await
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
    cycles_leave_nothing(&node, 10, &[], async |_| {
        let (pod, _container) = Pod::serving(&node, Setup::of(images::HELLO)).await?;
        pod.stop().await?;
        let cgroup = pod.cgroup().to_owned();
        drop(pod);
        // kubelet makes and removes the pod's own cgroup.
        for directory in crate::cgroup::below(&cgroup)? {
            let _ = std::fs::remove_dir(directory);
        }
        Ok(())
    })
    .await
}
