//! The distribution of a node: the files that the script reads, and how containerd's configuration is rendered from them.

/// The containerd of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containerd {
    /// The current version, which the tests build.
    Current,
    /// Debian's version, 1.6.
    Debian,
}

/// The files and the services of a node.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) containerd: Containerd,
    /// The configuration that containerd reads.
    pub(crate) config: &'static str,
    pub(crate) socket: &'static str,
    /// The systemd unit that runs it, or nothing.
    pub(crate) unit: &'static str,
    /// Shell commands that render `config` from the administrator's files.
    pub(crate) render: String,
    /// The files and their content at the start.
    pub(crate) files: Vec<(String, String)>,
    /// A directory that the distribution watches: a change restarts containerd.
    pub(crate) watched: Option<&'static str>,
}

/// A configuration of version 3 that imports drop-ins, as in recent packages.
pub(crate) const VERSION_3: &str = r#"version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "localhost/pause:test"

[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE the kernel refuses a score below containerd's own.
restrict_oom_score_adj = true
cdi_spec_dirs = []

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"#;

/// A configuration of version 2 without a runtime, so that containerd adds runc, and without a newline at the end.
pub(crate) const VERSION_2: &str = r#"version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:test"
  restrict_oom_score_adj = true"#;

/// Renders a template as k3s and RKE2 do: their own configuration takes the place of the line with `template "base"`.
const TEMPLATE: &str = r#"
expand() { busybox awk -v base="$2" '/template "base"/ { while ((getline line <base) > 0) print line; next } { print }' "$1"; }
if [ -f $D/config-v3.toml.tmpl ]; then expand $D/config-v3.toml.tmpl /etc/base-3 >$D/config.toml
elif [ -f $D/config.toml.tmpl ]; then expand $D/config.toml.tmpl /etc/base-2 >$D/config.toml
else cat /etc/base-3 >$D/config.toml; fi
"#;

impl Layout {
    /// Describes a node of kubeadm, kind or minikube with this configuration.
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

    /// Describes a k3s server with containerd 2.
    pub(crate) fn k3s() -> Self {
        Self::rancher(
            "k3s",
            "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        )
    }

    /// Describes an RKE2 agent.
    pub(crate) fn rke2() -> Self {
        let config = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml";
        Self::rancher("rke2-agent", config)
    }

    fn rancher(unit: &'static str, config: &'static str) -> Self {
        let directory = config.trim_end_matches("/config.toml");
        Self {
            containerd: Containerd::Current,
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

    /// Describes k0s, which merges drop-ins and restarts containerd by itself.
    pub(crate) fn k0s() -> Self {
        let own = "# k0s_managed=true\nversion = 3\nimports = [\"/run/k0s/containerd-cri.toml\"]\n\
                   disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.nri.v1.nri\"]\n";
        Self {
            containerd: Containerd::Current,
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

    /// Describes MicroK8s, whose template has variables.
    pub(crate) fn microk8s() -> Self {
        let template = format!(
            "{VERSION_2}\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    snapshotter = \"${{SNAPSHOTTER}}\"\n\
             \x20   [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
             \x20     runtime_type = \"io.containerd.runc.v2\"\n"
        );
        let directory = "/var/snap/microk8s/current/args";
        Self {
            containerd: Containerd::Current,
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

    /// Adds a file.
    pub(crate) fn file(mut self, path: &str, text: impl Into<String>) -> Self {
        self.files.push((path.to_owned(), text.into()));
        self
    }
}

fn without_imports(config: &str) -> String {
    let lines = config.lines().filter(|line| !line.starts_with("imports"));
    lines.map(|line| format!("{line}\n")).collect()
}
