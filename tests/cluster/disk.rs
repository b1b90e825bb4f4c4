//! A volume that really has a size, and can be taken away: 1 MiB of ext4 on the node, as a local PersistentVolume.
//!
//! The provisioner of the class `standard` makes directories, which are as large as the node's disk whatever a claim
//! asks for.

use crate::cluster::Cluster;
use crate::kubectl;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where they are on the node.
const DIRECTORY: &str = "/var/lib/visits-disks";

/// One such volume, of a StorageClass of its own. Must outlive the namespace of its claim; on drop it is unmounted and
/// removed.
#[derive(Debug)]
pub(crate) struct Disk<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Disk<'c> {
    /// Makes it.
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

    /// The operations on the StatefulSet that put its only pod on this volume.
    pub(crate) fn patch(&self) -> Vec<Value> {
        let claim = "/spec/volumeClaimTemplates/0/spec/storageClassName";
        vec![
            json!({ "op": "add", "path": claim, "value": self.name }),
            json!({ "op": "add", "path": "/spec/replicas", "value": 1 }),
        ]
    }

    /// From now on it cannot be written to, as when the kernel finds an error on it.
    pub(crate) async fn read_only(&self) -> Result<()> {
        self.mount("remount,ro").await
    }

    /// It can be written to again.
    pub(crate) async fn writable(&self) -> Result<()> {
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

    /// The bytes of a file on it.
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
        // A pod that still holds it lets go when it is killed.
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
