//! The manifests that are part of the add-ons' own modules. They are copied from Go's module cache, so they always have
//! the version of the programs.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Some files of a module.
pub(super) struct Manifests {
    /// The go.mod that requires the module, below the repository's top.
    pub(super) below: &'static str,
    module: &'static str,
    /// The name of the copy's directory.
    name: &'static str,
    /// The directory of the files in the module.
    directory: &'static str,
    files: &'static [&'static str],
}

pub(super) const ADDONS: &[Manifests] = &[
    Manifests {
        below: "cluster/go/localpath",
        module: "github.com/rancher/local-path-provisioner",
        name: "local-path",
        directory: "deploy",
        files: &["local-path-storage.yaml"],
    },
    Manifests {
        below: "cluster/go/metallb",
        module: "go.universe.tf/metallb",
        name: "metallb",
        directory: "config/manifests",
        files: &["metallb-native.yaml"],
    },
    Manifests {
        below: "cluster/go/metrics",
        module: "sigs.k8s.io/metrics-server",
        name: "metrics-server",
        directory: "manifests/base",
        files: &[
            "apiservice.yaml",
            "deployment.yaml",
            "kustomization.yaml",
            "rbac.yaml",
            "service.yaml",
        ],
    },
];

/// The certificate in the image of Kubernetes' own tests.
pub(super) const AGNHOST: &[Manifests] = &[agnhost("tests/conformance/go/kubernetes-e2e")];
pub(super) const OLDER_AGNHOST: &[Manifests] = &[agnhost("tests/conformance/go/older/kubernetes")];

const fn agnhost(below: &'static str) -> Manifests {
    Manifests {
        below,
        module: "k8s.io/kubernetes",
        name: "agnhost",
        directory: "test/images/agnhost/porter",
        files: &["localhost.crt", "localhost.key"],
    }
}

impl Manifests {
    /// Copies the files into a directory of their own below `to`. `go` is Go in the directory of the go.mod.
    pub(super) fn copy(&self, go: Command, to: &Path) -> Result<()> {
        let from = self.module_directory(go)?.join(self.directory);
        let to = to.join(self.name);
        std::fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
        for file in self.files {
            let (from, to) = (from.join(file), to.join(file));
            // `fs::copy` would keep the permissions, and files in Go's cache are write-protected.
            std::fs::read(&from)
                .and_then(|bytes| std::fs::write(&to, bytes))
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    fn module_directory(&self, mut go: Command) -> Result<PathBuf> {
        go.args(["list", "-m", "-f", "{{.Dir}}", self.module]);
        let output = go.output().context("cannot run go")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "directory of the Go module {}: {}",
            self.module,
            error.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
    }
}

#[cfg(test)]
mod tests {
    use crate::workspace;

    /// The cluster tool has its own list of the images' names, so that list must have the same versions.
    #[test]
    fn the_images_of_the_addons_have_the_versions_of_their_modules() {
        let read = |path: &str| {
            std::fs::read_to_string(workspace::root().join(path)).expect("it is in the repository")
        };
        let kustomization = read("cluster/addons/kustomization.yaml");
        let coredns = read("cluster/addons/coredns.yaml");
        let images = read("cluster/src/images.rs");
        for (directory, module, names) in [
            (
                "localpath",
                "github.com/rancher/local-path-provisioner",
                &["local-path-provisioner"][..],
            ),
            (
                "metallb",
                "go.universe.tf/metallb",
                &["metallb-controller", "metallb-speaker"],
            ),
            ("metrics", "sigs.k8s.io/metrics-server", &["metrics-server"]),
            ("coredns", "github.com/coredns/coredns", &["coredns"]),
        ] {
            let required = read(&format!("cluster/go/{directory}/go.mod"));
            let version = required
                .split_once(&format!("{module} v"))
                .and_then(|(_, rest)| rest.split_whitespace().next())
                .expect("it is required");
            for name in names {
                let image = format!("localhost/{name}:v{version}");
                assert!(images.contains(&image), "images.rs lacks {image}");
                let applied = kustomization.contains(&format!(
                    "newName: localhost/{name}\n    newTag: v{version}\n"
                )) || coredns.contains(&image);
                assert!(applied, "cluster/addons lacks {image}");
            }
        }
    }
}
