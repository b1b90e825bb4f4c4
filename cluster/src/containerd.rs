//! containerd's configuration, in the version that the node's containerd reads: 2 before containerd 2.0, and 3 since.

use crate::cni;
use crate::paths::{CONTAINERD, NODE_BINARIES, SHIM};
use crate::runtime::Runtime;
use anyhow::Result;
use std::process::Command;
use visits_support::command;

/// The directory of drop-ins.
pub(crate) const DROP_INS: &str = "/etc/containerd/conf.d";
/// The drop-in that configures the RuntimeClass's handler.
const HANDLER: &str = "/etc/containerd/conf.d/preopen.toml";
/// The image that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "localhost/pause:visits-cluster";

/// A version of the configuration, by the names that differ.
pub(crate) struct Format {
    version: u8,
    /// The plugin that runs pods.
    plugin: &'static str,
    /// The settings of the pause container's image, before those of `plugin`.
    pinned: &'static str,
    /// The same among the settings of `plugin`.
    sandbox: &'static str,
    /// The setting with the directories of network plugins.
    networks: &'static str,
}

const VERSION_2: Format = Format {
    version: 2,
    plugin: "io.containerd.grpc.v1.cri",
    pinned: "",
    sandbox: "sandbox_image = \"PAUSE\"\n",
    networks: "bin_dir = \"PLUGINS\"",
};

const VERSION_3: Format = Format {
    version: 3,
    plugin: "io.containerd.cri.v1.runtime",
    pinned: "\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = \"PAUSE\"\n",
    sandbox: "",
    networks: "bin_dirs = [\"PLUGINS\"]",
};

impl Format {
    /// Returns the one that the node's containerd reads.
    pub(crate) fn of_node() -> Result<Self> {
        let mut version = Command::new(format!("{NODE_BINARIES}/containerd"));
        version.arg("--version");
        Ok(Self::of(&command::run(version)?))
    }

    /// Returns the one that containerd reads, by the line that it prints about its version. The line contains the path of
    /// its Go module, which ends in `/v2` since containerd 2.0.
    fn of(line: &str) -> Self {
        match line.contains("/containerd/v2 ") {
            true => VERSION_3,
            false => VERSION_2,
        }
    }

    /// Returns the files with which `runtime` runs the pods that name none, each with its path. Before version 3 a drop-in
    /// replaces all settings of a plugin, so there is none.
    pub(crate) fn files(&self, runtime: Runtime) -> Vec<(&'static str, String)> {
        let (main, handler) = (self.main(runtime), self.handler());
        match self.version {
            2 => vec![(CONTAINERD, main + &handler)],
            _ => {
                let header = format!("# Written by visits-cluster.\nversion = {}\n", self.version);
                vec![(CONTAINERD, main), (HANDLER, header + &handler)]
            }
        }
    }

    fn main(&self, runtime: Runtime) -> String {
        let Self {
            version, plugin, ..
        } = self;
        let named = |text: &str| {
            text.replace("PAUSE", PAUSE)
                .replace("PLUGINS", cni::PLUGINS)
        };
        format!(
            r#"# Written by visits-cluster.
version = {version}
imports = ["{DROP_INS}/*.toml"]
disabled_plugins = ["io.containerd.nri.v1.nri"]
{pinned}
[plugins.'{plugin}']
{sandbox}# Without CAP_SYS_RESOURCE the kernel refuses a score below containerd's own.
restrict_oom_score_adj = true
# containerd would load its profile into the machine's kernel, where it would stay.
disable_apparmor = true
cdi_spec_dirs = []

[plugins.'{plugin}'.cni]
{networks}
conf_dir = "/etc/cni/net.d"

[plugins.'{plugin}'.containerd]
default_runtime_name = "{runtime}"

[plugins.'{plugin}'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

# Kubernetes' own tests of RuntimeClasses name this one.
[plugins.'{plugin}'.containerd.runtimes.test-handler]
runtime_type = "{shim}"
"#,
            pinned = named(self.pinned),
            sandbox = named(self.sandbox),
            networks = named(self.networks),
            shim = runtime.shim(),
        )
    }

    fn handler(&self) -> String {
        let plugin = self.plugin;
        format!(
            "
[plugins.'{plugin}'.containerd.runtimes.preopen]
runtime_type = \"{SHIM}\"
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_containerd_gets_the_version_that_it_reads() {
        for (line, version, plugin, files) in [
            (
                "containerd github.com/containerd/containerd/v2 2.4.2+unknown \n",
                "version = 3",
                "[plugins.'io.containerd.cri.v1.runtime'.cni]",
                2,
            ),
            (
                "containerd github.com/containerd/containerd 1.7.35+unknown \n",
                "version = 2",
                "[plugins.'io.containerd.grpc.v1.cri'.cni]",
                1,
            ),
        ] {
            let texts = Format::of(line).files(Runtime::Runc);
            assert_eq!(texts.len(), files);
            let main = &texts[0].1;
            assert!(main.lines().any(|it| it == plugin), "{main}");
            assert!(main.contains(PAUSE) && !main.contains("PLUGINS"), "{main}");
            assert!(texts[files - 1].1.contains(".runtimes.preopen]"));
            for (path, text) in texts {
                assert!(text.lines().any(|it| it == version), "{path}: {text}");
            }
        }
    }
}
