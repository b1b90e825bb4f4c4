//! Images for the tests, built by the crate that also builds the counter's image.

use crate::cluster::Cluster;
use anyhow::{Context, Result};
use oci_writer::Image;
use std::path::Path;
use tokio::sync::OnceCell;
use visits_tests::artifacts;

/// A new version of the counter.
const NEXT: &str = "localhost/visits:next";
/// The component that misbehaves on request.
const PROBE: &str = "localhost/probe:test";
/// The counter's image in the manifests.
pub(crate) const VISITS: &str = "localhost/visits:0.1.0";
/// An image of native tools, which the suite's own cluster has and others pull.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:1.37";

const MANIFEST: &str = include_str!("../../spin.toml");

/// Imports a new version of the counter, with other bytes and the same component, and returns its name.
pub(crate) async fn next(cluster: &Cluster) -> Result<&'static str> {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let import = async || {
        let manifest = format!("# The next version.\n{MANIFEST}");
        import(
            cluster,
            component(NEXT, &manifest, "visits", &artifacts::visits_wasm()?)?,
        )
        .await
    };
    IMPORTED.get_or_try_init(import).await.map(|()| NEXT)
}

/// Imports the component that misbehaves on request, and returns its name. It ignores the volume that its pod mounts.
pub(crate) async fn probe(cluster: &Cluster) -> Result<&'static str> {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let import = async || {
        let manifest = "spin_manifest_version = 2\n\
                        [application]\nname = \"probe\"\n\
                        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"probe\"\n\
                        [component.probe]\nsource = \"probe.wasm\"\n";
        import(
            cluster,
            component(PROBE, manifest, "probe", &artifacts::probe_wasm()?)?,
        )
        .await
    };
    IMPORTED.get_or_try_init(import).await.map(|()| PROBE)
}

fn component(name: &str, manifest: &str, component: &str, wasm: &Path) -> Result<Image> {
    let wasm = std::fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    Ok(Image::new(name)
        .file("/app/spin.toml", manifest, 0o644)
        .file(format!("/app/{component}.wasm"), wasm, 0o644)
        .directory("/app/persistent", 65532, 65532, 0o755)
        .entrypoint(["/app/spin.toml"])
        .working_directory("/app")
        .user("65532:65532"))
}

async fn import(cluster: &Cluster, image: Image) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot create a directory for an image")?;
    let tar = directory.path().join("image.tar");
    image.write_layout_tar(&tar)?;
    cluster.import(&tar).await
}
