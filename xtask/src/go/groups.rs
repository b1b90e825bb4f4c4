//! The programs that are built, in groups.

use super::{Group, manifests};
use visits_support::environment;

/// The conformance tests for HTTP/2 servers.
pub(crate) const H2SPEC: Group = Group {
    name: "h2spec",
    instead: environment::H2SPEC_PROGRAMS,
    what: "h2spec",
    takes: "half a minute",
    modules: &["tests/host/go/h2spec"],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// The programs that judge histories of visits, and metrics.
pub(crate) const JUDGES: Group = Group {
    name: "judges",
    instead: environment::JUDGES_PROGRAMS,
    what: "the judges of histories and metrics",
    takes: "twenty seconds",
    modules: &[
        "tests/counting/go/linearizable",
        "tests/counting/go/promlint",
    ],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// A linter of manifests.
pub(crate) const KUBE_SCORE: Group = Group {
    name: "kube-score",
    instead: environment::KUBE_SCORE_PROGRAMS,
    what: "kube-score",
    takes: "minute",
    modules: &["tests/manifests/judges/kube-score"],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
    tests: &[],
};

/// The programs that a node runs. crictl is a module of its own, because it requires other versions of some packages
/// than containerd does. Without the tag, runc refuses a pod's default system call filter.
pub(crate) const NODE: Group = Group {
    name: "node",
    instead: environment::NODE_PROGRAMS,
    what: "containerd, runc, CNI plugins and crictl",
    takes: "five minutes",
    modules: &["tests/containerd/go/node", "tests/containerd/go/crictl"],
    tests: &[],
    flags: &["-tags", "seccomp"],
    c: true,
    stamp: None,
    manifests: &[],
};

/// Kubernetes and etcd, which share most of their packages.
pub(crate) const KUBERNETES: Group = Group {
    name: "kubernetes",
    instead: environment::KUBERNETES_PROGRAMS,
    what: "Kubernetes and etcd",
    takes: "six minutes",
    modules: &["cluster/go/kubernetes"],
    tests: &[],
    flags: &[],
    c: false,
    stamp: Some("k8s.io/kubernetes"),
    manifests: &[],
};

/// The add-ons of a cluster. Each is a module of its own that requires the same versions of Kubernetes' packages if it
/// can, so that those are compiled once.
pub(crate) const ADDONS: Group = Group {
    name: "addons",
    instead: environment::ADDONS,
    what: "MetalLB, local-path-provisioner, CoreDNS and metrics-server",
    takes: "three minutes",
    modules: &[
        "cluster/go/localpath",
        "cluster/go/metallb",
        "cluster/go/coredns",
        "cluster/go/metrics",
    ],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: manifests::ADDONS,
};

/// The test suites of containerd and of the CRI, and a registry for those that pull their images.
pub(crate) const CONFORMANCE: Group = Group {
    name: "conformance",
    instead: environment::CONFORMANCE_PROGRAMS,
    what: "the suites of containerd and the CRI",
    takes: "four minutes",
    modules: &[
        "tests/conformance/go/containerd",
        "tests/conformance/go/critest",
        "tests/conformance/go/registry",
        "tests/conformance/go/images",
    ],
    tests: &[
        (
            "tests/conformance/go/containerd",
            "github.com/containerd/containerd/v2/integration/client",
            "client.test",
        ),
        (
            "tests/conformance/go/containerd",
            "github.com/containerd/containerd/v2/integration",
            "cri.test",
        ),
        (
            "tests/conformance/go/critest",
            "sigs.k8s.io/cri-tools/cmd/critest",
            "critest.test",
        ),
    ],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// Kubernetes' own tests, the program that runs them in parallel, and the programs of their images.
pub(crate) const KUBERNETES_TESTS: Group = Group {
    name: "kubernetes-tests",
    instead: environment::KUBERNETES_TESTS,
    what: "Kubernetes' own tests",
    takes: "four minutes",
    modules: &["tests/conformance/go/kubernetes-e2e"],
    tests: &[(
        "tests/conformance/go/kubernetes-e2e",
        "k8s.io/kubernetes/test/e2e",
        "e2e.test",
    )],
    flags: &[],
    c: false,
    stamp: Some("k8s.io/kubernetes"),
    manifests: manifests::AGNHOST,
};

/// An older containerd, with the newest of everything else on a node.
pub(crate) const OLDER_NODE: Group = Group {
    name: "older-node",
    what: "an older containerd, runc, CNI plugins and crictl",
    modules: &[
        "tests/conformance/go/older/node",
        "tests/containerd/go/crictl",
    ],
    ..NODE
};

/// An older Kubernetes, with its own tests.
pub(crate) const OLDER_KUBERNETES: Group = Group {
    name: "older-kubernetes",
    what: "an older Kubernetes and its own tests",
    takes: "twelve minutes",
    modules: &["tests/conformance/go/older/kubernetes"],
    tests: &[(
        "tests/conformance/go/older/kubernetes",
        "k8s.io/kubernetes/test/e2e",
        "e2e.test",
    )],
    manifests: manifests::OLDER_AGNHOST,
    ..KUBERNETES
};
