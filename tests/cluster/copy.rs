//! `kubectl cp`, and the backup and restore of a count in docs/operating.md.

use crate::cluster::Cluster;
use crate::execs::Exec;
use crate::kubectl::POD;
use crate::load::Load;
use crate::manifests::Manifests;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::shell::Shell;
use crate::stateful_set::StatefulSet;
use crate::{specs, visitors};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// Creates a directory to copy, with random bytes, an empty file, a space in a name and two levels.
const MAKE: &str = "mkdir -p tree/one/two; : > tree/empty; head -c 3000000 /dev/urandom > tree/random\n\
                    echo spaced > 'tree/a name'; echo deep > tree/one/two/deep";

/// Returns all files below a directory, with their bytes.
fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(directory);
    for entry in entries.with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            let below = self::files(&entry.path())?;
            files.extend(
                below
                    .into_iter()
                    .map(|(path, bytes)| (format!("{name}/{path}"), bytes)),
            );
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubectl_cp_copies_files_and_directories_into_and_out_of_both_kinds_of_containers()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let sleep = specs::native("native", "exec sleep 1000");
        namespace.apply(specs::pod("pod", &[specs::component("visits"), sleep])).await?;
        Pod::ready(namespace, "pod").await?;
        let shell = Shell::new(namespace).await?;
        shell.run(MAKE).await?;
        let tree = files(&shell.directory().join("tree"))?;
        ensure!(tree.len() == 4, "{:?}", tree.keys());
        // The containers share the volume, so one reads the other's files.
        for (to, from) in [("visits", "native"), ("native", "visits"), ("visits", "visits")] {
            let copy = format!(
                "kubectl cp -c {to} tree pod:/app/persistent/tree-{to}-{from}\n\
                 kubectl cp -c {from} pod:/app/persistent/tree-{to}-{from} {to}-{from}\n\
                 kubectl cp -c {to} tree/random pod:/app/persistent/file-{to}-{from}\n\
                 kubectl cp -c {from} pod:/app/persistent/file-{to}-{from} file-{to}-{from}"
            );
            shell.run(&copy).await?;
            let copied = files(&shell.directory().join(format!("{to}-{from}")))?;
            let names = (copied.keys(), tree.keys());
            ensure!(copied == tree, "into {to}, out of {from}: {names:?}, or other bytes");
            let file = shell.read(&format!("file-{to}-{from}"))?;
            ensure!(file == tree["random"], "into {to}, out of {from}: {} bytes", file.len());
        }
        // Another copy replaces existing files.
        shell.run("echo new > 'tree/a name'; kubectl cp -c visits tree/. pod:/app/persistent/tree-visits-visits").await?;
        let replaced = ["cat", "/app/persistent/tree-visits-visits/a name"];
        let replaced = Exec::of(namespace, "pod").container("visits").text(&replaced).await?;
        ensure!(replaced == "new\n", "{replaced:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_count_is_backed_up_by_exec_and_cp_while_visits_come_in_and_restored_by_cp() -> Result<()>
{
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let manifests = Manifests::only_people_count().with_replicas(1)?;
        let counters = StatefulSet::start(namespace, &manifests).await?;
        let shell = Shell::new(namespace).await?;
        let address = counters.address().await?;
        let load = Load::start(address);
        let mut backups = Vec::new();
        for line in [
            "kubectl exec visits-0 -- cat /app/persistent/visits.bin > backup",
            "kubectl cp visits-0:/app/persistent/visits.bin backup",
        ] {
            load.goes_on(100).await?;
            shell.run(line).await?;
            let bytes = shell.read("backup")?;
            let bytes: [u8; 8] = bytes[..].try_into().with_context(|| format!("{bytes:?}"))?;
            backups.push(u64::from_le_bytes(bytes));
        }
        load.goes_on(100).await?;
        let report = load.end().await?;
        report.no_visit_failed()?;
        let total = counters.count(0).await?;
        ensure!(report.served.total() == total, "{total} counted");
        let grows = 100 <= backups[0] && backups[0] < backups[1] && backups[1] < total;
        ensure!(grows, "{backups:?} were backed up, {total} is the count");

        let volume = format!("{}/volume.yaml", Manifests::base().path());
        let lines = format!(
            "kubectl scale statefulset visits --replicas 0\n\
             kubectl wait --for=delete pod -l app.kubernetes.io/name=visits --timeout 50s\n\
             kubectl apply -f {volume}\n\
             kubectl wait --for=condition=Ready pod/volume --timeout 50s"
        );
        for line in lines.lines() {
            shell.run(line).await?;
        }
        let restore = "kubectl cp backup volume:/app/persistent/visits.bin\n\
                       kubectl exec volume -- rm -r .visits";
        shell.run(restore).await?;
        namespace.wait(POD, ["delete", "pod", "volume"]).await?;
        counters.scale(0, 1).await?;
        let restored = counters.count(0).await?;
        ensure!(
            restored == backups[1],
            "{restored} instead of {}",
            backups[1]
        );
        let served = visitors::visits(counters.address().await?, 3).await?;
        let counted = counters.count(0).await?;
        ensure!(
            counted == restored + served.total(),
            "{restored}, then {counted}"
        );
        Ok(())
    })
    .await
}
