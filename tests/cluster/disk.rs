//! A volume with a real size that can become read-only: 1 MiB of ext4 on the node, as a local PersistentVolume.
//!
//! The class `standard` provides directories, which have the size of the node's disk regardless of the claim.

use crate::cluster::Cluster;
use crate::kubectl;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use visits_tests::{DEADLINE, wait};

/// The directory of the volumes on the node.
const DIRECTORY: &str = "/var/lib/visits-disks";

/// A volume with a StorageClass of its own. It must outlive the namespace of its claim. On drop it is unmounted and removed.
#[derive(Debug)]
pub(crate) struct Disk<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Disk<'c> {
    /// Creates the volume.
    pub(crate) async fn new(cluster: &'c Cluster) -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("disk-{}-{number}", std::process::id());
        let disk = Self { cluster, name };
        let point = disk.point();
        cluster
            .shell(&format!(
                "mkdir -p {point}\n\
                 truncate -s 1M {point}.img\n\
                 mkfs.ext4 -q -m 0 {point}.img\n\
                 mount -o loop {point}.img {point}"
            ))
            .await?;
        kubectl::apply(&disk.volume()).await?;
        Ok(disk)
    }

    /// Returns the patch of the StatefulSet that puts a single pod on this volume.
    pub(crate) fn patch(&self) -> Value {
        let claim = "/spec/volumeClaimTemplates/0/spec/storageClassName";
        json!([
            { "op": "add", "path": claim, "value": self.name },
            { "op": "add", "path": "/spec/replicas", "value": 1 },
        ])
    }

    /// Makes it read-only, as the kernel does after an error. An administrator's remount is refused as "busy" while a visit has
    /// a file open, so it is repeated.
    pub(crate) async fn make_read_only(&self) -> Result<()> {
        wait::until("the volume is read-only", DEADLINE, async || {
            match self.mount("remount,ro").await {
                Err(error) if format!("{error:#}").contains("busy") => Ok(None),
                other => other.map(Some),
            }
        })
        .await
    }

    /// Makes it writable again.
    pub(crate) async fn make_writable(&self) -> Result<()> {
        self.mount("remount,rw").await
    }

    /// Fills it to the last byte.
    pub(crate) async fn fill(&self) -> Result<()> {
        let point = self.point();
        self.cluster
            .shell(&format!(
                "cd {point}\n\
                 for size in 65536 1024 1; do\n\
                 dd if=/dev/zero bs=$size oflag=append conv=notrunc of=filler 2>/dev/null || true\n\
                 sync -f .\n\
                 done\n\
                 ! dd if=/dev/zero bs=4096 count=1 of=another 2>/dev/null\n\
                 rm -f another"
            ))
            .await
            .map(drop)
    }

    /// Returns the bytes of a file on it.
    pub(crate) async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let file = format!("{}/{name}", self.point());
        self.cluster.node(["cat", &file]).await
    }

    async fn mount(&self, options: &str) -> Result<()> {
        let mount = ["mount", "-o", options, &self.point()];
        self.cluster.node(mount).await.map(drop)
    }

    fn point(&self) -> String {
        format!("{DIRECTORY}/{}", self.name)
    }

    fn volume(&self) -> Value {
        let here = json!({ "key": "kubernetes.io/hostname", "operator": "Exists" });
        let terms = json!([{ "matchExpressions": [here] }]);
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": self.name },
            "spec": {
                "capacity": { "storage": "1Mi" },
                "accessModes": ["ReadWriteOncePod"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": self.name,
                "local": { "path": self.point() },
                "nodeAffinity": { "required": { "nodeSelectorTerms": terms } },
            },
        })
    }

    fn remove(&self) -> Result<()> {
        let delete = [
            "delete",
            "persistentvolume",
            &self.name,
            "--ignore-not-found",
        ];
        let deleted = kubectl::command(delete).and_then(visits_tests::command::run);
        let point = self.point();
        // A pod may still use it. It keeps the mount until it is killed.
        self.cluster.shell_now(&format!(
            "umount -l {point} || true; rm -rf {point} {point}.img"
        ))?;
        deleted.map(drop)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("note: the volume {} is left behind: {error:#}", self.name);
        }
    }
}
