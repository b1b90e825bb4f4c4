//! The report of a failure: the first commands that an operator would run, for one namespace and for the node.

use crate::cluster::Cluster;
use crate::kubectl;
use visits_tests::command;

/// The commands for the namespace.
const COMMANDS: [&[&str]; 5] = [
    &["get", "all,pvc,endpointslices", "--output=wide"],
    &["get", "events", "--sort-by=.lastTimestamp"],
    &["describe", "pods"],
    &["get", "persistentvolumes", "--output=wide"],
    &["top", "pods", "--containers"],
];

/// The programs of the node whose logs show why a pod does not run or is not reached.
const PROGRAMS: [&str; 3] = ["kubelet", "containerd", "kube-proxy"];

/// The load balancer of the suite's own cluster, which announces each Service's address: its namespace and its log.
const BALANCER: (&str, [&str; 3]) = ("metallb-system", ["logs", "--tail=40", "daemonset/speaker"]);

/// Returns the report. A command that fails is reported with its error.
pub(crate) fn of(cluster: &Cluster, namespace: &str) -> String {
    let mut report = String::new();
    for command in COMMANDS {
        add(&mut report, namespace, command);
    }
    let pods = output(namespace, &["get", "pods", "--output=name"]);
    for pod in pods.lines().filter(|line| line.starts_with("pod/")) {
        let logs = ["logs", "--all-containers", "--timestamps", "--tail=40", pod];
        add(&mut report, namespace, &logs);
        let previous = ["logs", "--all-containers", "--previous", "--tail=40", pod];
        add(&mut report, namespace, &previous);
    }
    if !cluster.is_foreign() {
        let (namespace, logs) = BALANCER;
        add(&mut report, namespace, &["get", "pods"]);
        add(&mut report, namespace, &logs);
    }
    for program in PROGRAMS {
        let log = cluster.log(program);
        report.push_str(&format!("--- the end of {program}'s log ---\n{log}\n"));
    }
    report + "---"
}

fn add(report: &mut String, namespace: &str, arguments: &[&str]) {
    let output = output(namespace, arguments);
    let line = arguments.join(" ");
    report.push_str(&format!("--- kubectl {line} ---\n{}\n", output.trim_end()));
}

fn output(namespace: &str, arguments: &[&str]) -> String {
    let output =
        kubectl::command(kubectl::in_namespace(namespace, arguments)).and_then(command::run);
    output.unwrap_or_else(|error| format!("({error:#})"))
}
