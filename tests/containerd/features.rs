//! The features that the shim reports to containerd and kubelet, and a check that they work.

use crate::container::{Container, Runtime};
use crate::cri::HANDLER;
use crate::crictl;
use crate::node::Node;
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use visits_tests::artifacts;

#[tokio::test]
#[ignore = "needs root"]
async fn the_shim_describes_itself_to_containerd() -> Result<()> {
    let mut info = Command::new(artifacts::shim()?);
    info.arg("-info").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || info.output()).await??;
    ensure!(output.status.success(), "{output:?}");
    // A protobuf message whose last field is JSON.
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        text.contains("runtime-spec/1/features/Features"),
        "no features in {text}"
    );
    let json = text
        .find("{\"hooks\"")
        .and_then(|start| Some(&text[start..=text.rfind('}')?]))
        .with_context(|| format!("no JSON in {text}"))?;
    let features: Value = serde_json::from_str(json)?;
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert_eq!(features["linux"]["cgroup"]["systemd"], true);
    Ok(())
}

/// containerd passes the error of `start` on to whoever starts a container.
#[tokio::test]
#[ignore = "needs root"]
async fn a_start_reports_why_the_server_does_not_run() -> Result<()> {
    let bundle = tempfile::tempdir()?;
    for (file, text) in [("config.json", "{}"), ("log", "")] {
        std::fs::write(bundle.path().join(file), text)?;
    }
    let nobody = bundle.path().join("nobody-listens");
    let mut start = Command::new(artifacts::shim()?);
    start
        .args([
            "-namespace",
            "test",
            "-id",
            "one",
            "-address",
            "none",
            "start",
        ])
        .current_dir(bundle.path())
        .env("TTRPC_ADDRESS", &nobody)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || start.output()).await??;
    let error = String::from_utf8_lossy(&output.stderr);
    let reason = format!("cannot connect to {}", nobody.display());
    ensure!(!output.status.success(), "{output:?}");
    ensure!(error.contains(&reason), "{error}");
    ensure!(output.stdout.is_empty(), "{output:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn kubelet_is_offered_user_namespaces_and_recursive_read_only_mounts() -> Result<()> {
    let _node = Node::shared().await?;
    let info = crictl::json(["info"]).await?;
    let handlers = info["runtimeHandlers"].as_array();
    let handler = handlers
        .and_then(|handlers| handlers.iter().find(|one| one["name"] == HANDLER))
        .with_context(|| format!("no handler {} in {info}", HANDLER))?;
    for feature in ["recursive_read_only_mounts", "user_namespaces"] {
        assert_eq!(handler["features"][feature], true, "{feature}: {handler}");
    }
    Ok(())
}

/// A tmpfs on a directory. It is unmounted on drop.
struct Inner(PathBuf);

impl Inner {
    fn on(point: &Path) -> Result<Self> {
        std::fs::create_dir(point)?;
        mount("tmpfs", point, "tmpfs", MountFlags::empty(), None)?;
        Ok(Self(point.to_owned()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// With `ro` a file system mounted in the volume stays writable; with `rro` it does not.
#[tokio::test]
#[ignore = "needs root"]
async fn a_recursively_read_only_volume_includes_the_mounts_in_it() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let _inner = Inner::on(&volume.path().join("inner"))?;
    for runtime in Runtime::BOTH {
        for (option, writable) in [("ro", true), ("rro", false)] {
            let script = "echo x > /volume/inner/file && echo written; echo x > /volume/file";
            let builder = Container::native(script).runtime(runtime);
            let builder = builder.mount(volume.path(), "/volume", &format!("rbind:{option}"));
            let ended = builder.spawn().await?.ended(&node).await?;
            let wrote = ended.stdout.concat() == "written";
            assert_eq!(wrote, writable, "{runtime:?}, {option}: {ended:?}");
            assert_ne!(
                ended.code, 0,
                "{runtime:?}, {option}: the volume is writable"
            );
        }
    }
    Ok(())
}
