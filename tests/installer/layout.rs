//! Whose node it is: the files that the script looks at, and how the distribution makes of them what containerd reads.

/// The version of containerd on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containerd {
    /// The one that the tests build.
    New,
    /// Debian's, 1.6.
    Old,
}

/// A kind of node.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) containerd: Containerd,
    /// What containerd reads.
    pub(crate) config: &'static str,
    pub(crate) socket: &'static str,
    /// The unit of systemd that runs it, where there is one.
    pub(crate) unit: &'static str,
    /// Shell that makes `config` of what the administrator writes.
    pub(crate) render: String,
    /// Files from the start.
    pub(crate) files: Vec<(String, String)>,
    /// A directory whose change restarts containerd by itself.
    pub(crate) watched: Option<&'static str>,
}

/// A configuration of version 3 that imports drop-ins, as recent packages have it.
pub(crate) const VERSION_3: &str = r#"version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "localhost/pause:test"

[plugins.'io.containerd.cri.v1.runtime']
# Where CAP_SYS_RESOURCE is missing, a lower score than containerd's own is refused.
restrict_oom_score_adj = true
cdi_spec_dirs = []

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"#;

/// One of version 2 that names no runtime, so that containerd has runc of its own, and that ends without a new line.
pub(crate) const VERSION_2: &str = r#"version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:test"
  restrict_oom_score_adj = true"#;

/// What k3s and RKE2 make of a template: the lines of their own in place of one.
const TEMPLATE: &str = r#"
expand() { busybox awk -v base="$2" '/template "base"/ { while ((getline line <base) > 0) print line; next } { print }' "$1"; }
if [ -f $D/config-v3.toml.tmpl ]; then expand $D/config-v3.toml.tmpl /etc/base-3 >$D/config.toml
elif [ -f $D/config.toml.tmpl ]; then expand $D/config.toml.tmpl /etc/base-2 >$D/config.toml
else cat /etc/base-3 >$D/config.toml; fi
"#;

impl Layout {
    /// A node of kubeadm's, kind's or minikube's with this configuration.
    pub(crate) fn vanilla(containerd: Containerd, config: &str) -> Self {
        Self {
            containerd,
            config: "/etc/containerd/config.toml",
            socket: "/run/containerd/containerd.sock",
            unit: "containerd",
            render: String::new(),
            files: vec![("/etc/containerd/config.toml".into(), config.into())],
            watched: None,
        }
    }

    /// k3s with containerd 2, as a server.
    pub(crate) fn k3s() -> Self {
        Self::rancher(
            "k3s",
            "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        )
    }

    /// RKE2, as an agent.
    pub(crate) fn rke2() -> Self {
        let config = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml";
        Self::rancher("rke2-agent", config)
    }

    fn rancher(unit: &'static str, config: &'static str) -> Self {
        let directory = config.trim_end_matches("/config.toml");
        Self {
            containerd: Containerd::New,
            config,
            socket: "/run/k3s/containerd/containerd.sock",
            unit,
            render: format!("D={directory}{TEMPLATE}"),
            files: vec![
                (config.into(), String::new()),
                ("/etc/base-3".into(), without_imports(VERSION_3)),
                ("/etc/base-2".into(), format!("{VERSION_2}\n")),
            ],
            watched: None,
        }
    }

    /// k0s, which merges drop-ins and restarts containerd by itself.
    pub(crate) fn k0s() -> Self {
        let own = "# k0s_managed=true\nversion = 3\nimports = [\"/run/k0s/containerd-cri.toml\"]\n\
                   disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.nri.v1.nri\"]\n";
        Self {
            containerd: Containerd::New,
            config: "/etc/k0s/containerd.toml",
            socket: "/run/k0s/containerd.sock",
            unit: "",
            render: "mkdir -p /run/k0s\n\
                     { cat /etc/base-3; cat /etc/k0s/containerd.d/*.toml 2>/dev/null | grep -v ^version; } \
                     >/run/k0s/containerd-cri.toml\n"
                .into(),
            files: vec![
                ("/etc/k0s/containerd.toml".into(), own.into()),
                ("/etc/k0s/containerd.d/.keep".into(), String::new()),
                ("/etc/base-3".into(), without_imports(VERSION_3)),
            ],
            watched: Some("/etc/k0s/containerd.d"),
        }
    }

    /// MicroK8s, whose template has variables.
    pub(crate) fn microk8s() -> Self {
        let template = format!(
            "{VERSION_2}\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    snapshotter = \"${{SNAPSHOTTER}}\"\n\
             \x20   [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
             \x20     runtime_type = \"io.containerd.runc.v2\"\n"
        );
        let directory = "/var/snap/microk8s/current/args";
        Self {
            containerd: Containerd::New,
            config: "/var/snap/microk8s/current/args/containerd.toml",
            socket: "/var/snap/microk8s/common/run/containerd.sock",
            unit: "snap.microk8s.daemon-containerd",
            render: format!(
                "sed 's/${{SNAPSHOTTER}}/overlayfs/' {directory}/containerd-template.toml >{directory}/containerd.toml\n"
            ),
            files: vec![
                (format!("{directory}/containerd-template.toml"), template),
                (format!("{directory}/containerd.toml"), String::new()),
                ("/var/snap/microk8s/common/run/.keep".into(), String::new()),
            ],
            watched: None,
        }
    }

    /// The same with one more file.
    pub(crate) fn file(mut self, path: &str, text: impl Into<String>) -> Self {
        self.files.push((path.to_owned(), text.into()));
        self
    }
}

fn without_imports(config: &str) -> String {
    let lines = config.lines().filter(|line| !line.starts_with("imports"));
    lines.map(|line| format!("{line}\n")).collect()
}
