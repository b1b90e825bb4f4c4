//! The shim's options about its servers, in a file that `ctr` names.

use crate::cgroup;
use crate::container::{Container, ContainerBuilder};
use crate::node::Node;
use crate::process;
use anyhow::{Result, ensure};
use std::fs;
use tempfile::NamedTempFile;
use visits_support::cgroup::{create, hierarchies};

/// Returns a container whose shim gets these options, and the file with them.
fn with_options(text: &str) -> Result<(ContainerBuilder, NamedTempFile)> {
    let options = NamedTempFile::new()?;
    fs::write(&options, text)?;
    let builder = Container::native("sleep 1000")
        .flag("--runtime-config-path")
        .flag(options.path());
    Ok((builder, options))
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_server_is_in_the_cgroup_that_the_options_name() -> Result<()> {
    let node = Node::shared().await?;
    let above = Node::cgroup()?;
    let shims = format!("{above}/shims");
    for hierarchy in hierarchies() {
        for cgroup in [&above, &shims] {
            create(&hierarchy.join(cgroup.trim_start_matches('/')))?;
        }
    }
    let (builder, _options) = with_options(&format!("ShimCgroup = {shims:?}\n"))?;
    let container = builder.spawn_running().await?;
    let pid = container.pid().await?;
    let server = process::parent(pid)?;
    for controller in ["memory", "devices"] {
        assert_eq!(cgroup::of(server, controller)?, shims, "{controller}");
        let own = cgroup::of(pid, controller)?;
        assert_eq!(own, container.cgroup(), "{controller}");
    }
    container.signal("SIGKILL").await?;
    container.ended(&node).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_servers_cgroup_that_does_not_exist_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    let (builder, _options) = with_options("ShimCgroup = \"/no/such/cgroup\"\n")?;
    let error = builder.refused(&node).await?;
    ensure!(
        error.contains("the cgroup /no/such/cgroup does not exist"),
        "{error}"
    );
    Ok(())
}
