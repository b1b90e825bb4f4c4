//! The configuration files of each distribution, rendered as the distribution does it and read by a real containerd.

use crate::layout::{Containerd, Layout, VERSION_3};
use crate::node::Node;
use crate::script::{SHIM, Script};
use anyhow::Result;

const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd";
const BASE: &str = "{{ template \"base\" . }}\n";

/// Installs, checks that containerd has the runtime and that only these files have changed, and uninstalls.
async fn comes_and_goes(layout: Layout, files: &[&str]) -> Result<()> {
    let node = Node::start(layout).await?;
    let script = Script::new()?;
    let before = node.files()?;
    script.run(&node, &["install"]).await?.ok()?;
    assert!(node.info().await?.contains(SHIM));
    assert_eq!(node.restarts()?, 1);
    let shim = [
        "/opt",
        "/opt/preopen",
        "/opt/preopen/bin",
        SHIM,
        "/opt/preopen/installed",
    ];
    let installed = node.files()?;
    let mut changed = installed.changed_since(&before, node.root());
    changed.retain(|path| !shim.contains(&path.as_str()));
    assert_eq!(changed, files);
    script.run(&node, &["install"]).await?.ok()?;
    assert_eq!(node.restarts()?, 1, "containerd was restarted without need");
    node.is_as_in(&installed)?;
    script.run(&node, &["uninstall"]).await?.ok()?;
    node.is_as_in(&before)?;
    let info = node.info().await?;
    assert!(!info.contains(SHIM), "{info}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn k3s_without_a_template_gets_one() -> Result<()> {
    let config = format!("{K3S}/config.toml");
    let template = format!("{K3S}/config-v3.toml.tmpl");
    comes_and_goes(Layout::k3s(), &[&template, &config]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn k3s_with_a_template_of_version_2_gets_no_second_one_that_would_replace_it() -> Result<()> {
    let template = format!("{K3S}/config.toml.tmpl");
    let layout = Layout::k3s().file(&template, format!("{BASE}# another runtime is here\n"));
    let config = format!("{K3S}/config.toml");
    comes_and_goes(layout, &[&config, &template]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn k3s_with_templates_of_both_versions_has_the_one_in_use_changed() -> Result<()> {
    let template = format!("{K3S}/config-v3.toml.tmpl");
    let layout = Layout::k3s()
        .file(&template, BASE)
        .file(&format!("{K3S}/config.toml.tmpl"), BASE);
    let config = format!("{K3S}/config.toml");
    comes_and_goes(layout, &[&template, &config]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn k3s_that_imports_drop_ins_gets_one() -> Result<()> {
    let imports = format!("imports = [\"{K3S}/config-v3.toml.d/*.toml\"]");
    let base = VERSION_3.replace("imports = [\"/etc/containerd/conf.d/*.toml\"]", &imports);
    let layout = Layout::k3s().file("/etc/base-3", base);
    let directory = format!("{K3S}/config-v3.toml.d");
    let drop_in = format!("{directory}/90-preopen.toml");
    comes_and_goes(layout, &[K3S, &directory, &drop_in][1..]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn rke2_is_restarted_through_its_active_unit() -> Result<()> {
    let directory = "/var/lib/rancher/rke2/agent/etc/containerd";
    let config = format!("{directory}/config.toml");
    let template = format!("{directory}/config-v3.toml.tmpl");
    comes_and_goes(Layout::rke2(), &[&template, &config]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn k0s_restarts_containerd_by_itself() -> Result<()> {
    comes_and_goes(Layout::k0s(), &["/etc/k0s/containerd.d/90-preopen.toml"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn microk8s_has_its_template_changed() -> Result<()> {
    let directory = "/var/snap/microk8s/current/args";
    let template = format!("{directory}/containerd-template.toml");
    let config = format!("{directory}/containerd.toml");
    comes_and_goes(Layout::microk8s(), &[&template, &config]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn with_two_distributions_the_user_must_name_one() -> Result<()> {
    let layout = Layout::k3s().file("/etc/containerd/config.toml", VERSION_3);
    let node = Node::start(layout).await?;
    let script = Script::new()?;
    let before = node.files()?;
    let error = script.run(&node, &["install"]).await?.error()?;
    assert!(
        error.contains("more than one is here: k3s containerd"),
        "{error}"
    );
    assert!(error.contains("--distribution"), "{error}");
    node.is_as_in(&before)?;
    script
        .run(&node, &["install", "--distribution", "k3s"])
        .await?
        .ok()?;
    assert!(node.info().await?.contains(SHIM));
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_configuration_elsewhere_needs_its_path_and_a_restart_command() -> Result<()> {
    let mut layout = Layout::vanilla(Containerd::Current, VERSION_3);
    layout.config = "/etc/mine/containerd.toml";
    layout.unit = "";
    layout.files = vec![(layout.config.into(), VERSION_3.into())];
    let node = Node::start(layout).await?;
    let script = Script::new()?;
    let error = script.run(&node, &["install"]).await?.error()?;
    assert!(error.contains("/etc/containerd/config.toml"), "{error}");
    let here = [
        "install",
        "--distribution",
        "containerd",
        "--config",
        "/etc/mine/containerd.toml",
    ];
    let error = script.run(&node, &here).await?.error()?;
    assert!(error.contains("--restart"), "{error}");
    let with_restart = [&here[..], &["--restart", "service"]].concat();
    script.run(&node, &with_restart).await?.ok()?;
    assert!(node.info().await?.contains(SHIM));
    Ok(())
}
