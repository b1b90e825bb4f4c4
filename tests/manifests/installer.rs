//! The installer of the shim: the source of its image, and the users of its containers.

use crate::render::Objects;
use crate::repository;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use visits_support::files::copy_tree;

/// The directories for `kubectl apply -k`, except the overlays of `k8s/`.
const DIRECTORIES: [&str; 3] = ["k8s", "runtimeclass/installer", "runtimeclass/uninstall"];

/// Returns the containers of all pods and pod templates among these objects.
fn containers(objects: &Objects) -> Vec<&Value> {
    let pods = objects.0.iter().map(|object| match &object["kind"] {
        kind if kind == "Pod" => &object["spec"],
        _ => &object["spec"]["template"]["spec"],
    });
    let lists = pods.flat_map(|pod| [&pod["initContainers"], &pod["containers"]]);
    lists.filter_map(Value::as_array).flatten().collect()
}

/// Returns the container with this name.
fn container<'o>(objects: &'o Objects, name: &str) -> Result<&'o Value> {
    let mut all = containers(objects).into_iter();
    let found = all.find(|container| container["name"] == name);
    found.with_context(|| format!("no container {name}"))
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn an_image_that_only_the_node_has_is_never_pulled() -> Result<()> {
    let overlays = std::fs::read_dir(repository().join("k8s/overlays"))?;
    let overlays = overlays.map(|entry| Ok(entry?.path()));
    let directories = DIRECTORIES.map(|directory| Ok(repository().join(directory)));
    let directories: Vec<_> = directories
        .into_iter()
        .chain(overlays)
        .collect::<Result<_>>()?;
    let mut local = 0;
    for directory in directories {
        let objects = Objects::at(&directory)?;
        for container in containers(&objects) {
            let image = container["image"].as_str().context("an image")?;
            // containerd would pull it from port 80 of the node.
            if image.starts_with("localhost/") {
                let policy = &container["imagePullPolicy"];
                ensure!(
                    policy == "Never",
                    "{}: {image}: {policy}",
                    directory.display()
                );
                local += 1;
            }
        }
    }
    ensure!(local >= 2 * 3 + 5, "only {local} images were checked");
    let volume = Objects::file("k8s/volume.yaml")?;
    let image = container(&volume, "shell")?["image"].as_str();
    ensure!(image.is_some_and(|image| !image.starts_with("localhost/")));
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn an_installer_from_a_registry_is_named_by_digest_and_pulled() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let copied = directory.path().join("runtimeclass");
    for name in ["installer", "uninstall", "registry"] {
        let from = repository().join("runtimeclass").join(name);
        copy_tree(&from, &copied.join(name))?;
    }
    // The comment in the file shows users the replacement for its last lines.
    let path = copied.join("installer/kustomization.yaml");
    let text = std::fs::read_to_string(&path)?;
    let example = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let example: Vec<_> = example.collect();
    let (kept, _) = text.split_once("\nimages:").context("no images")?;
    std::fs::write(&path, format!("{kept}\n{}\n", example.join("\n")))?;
    for name in ["installer", "uninstall"] {
        let objects = Objects::at(&copied.join(name))?;
        let containers = containers(&objects);
        assert_eq!(containers.len(), 3);
        for container in containers {
            assert_eq!(
                container["image"], "registry.example/preopen-node@sha256:DIGEST",
                "{container}"
            );
            assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{container}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_container_with_the_token_has_a_user_of_its_own_that_is_not_root() -> Result<()> {
    let installer = Objects::of("runtimeclass/installer")?;
    let mounts_token = |container: &Value| {
        let mounts = container["volumeMounts"].as_array();
        mounts.is_some_and(|mounts| mounts.iter().any(|mount| mount["name"] == "token"))
    };
    let with_token: Vec<_> = containers(&installer)
        .into_iter()
        .filter(|container| mounts_token(container))
        .collect();
    assert_eq!(with_token, [container(&installer, "label")?]);
    let rights = &with_token[0]["securityContext"];
    assert_eq!(rights["runAsNonRoot"], true);
    for id in [&rights["runAsUser"], &rights["runAsGroup"]] {
        // Above the ranges of systemd, shadow and OpenShift. 65532 is the user of the counters and of many images.
        let id = id.as_u64().context("a number")?;
        ensure!((2_000_000_000..1 << 31).contains(&id), "{id}");
    }
    Ok(())
}
