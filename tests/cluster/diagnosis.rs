//! What an operator would ask for first, of one namespace and of the node: the report of a failure.

use crate::kubectl;
use crate::namespace::Namespace;
use visits_tests::command;

/// What is asked of the namespace.
const QUESTIONS: [&[&str]; 5] = [
    &["get", "all,pvc,endpointslices", "--output=wide"],
    &["get", "events", "--sort-by=.lastTimestamp"],
    &["describe", "pods"],
    &["get", "persistentvolumes", "--output=wide"],
    &["top", "pods", "--containers"],
];

/// The programs of the node whose logs say why a pod does not run.
const PROGRAMS: [&str; 2] = ["kubelet", "containerd"];

/// Everything there is to say. What cannot be asked says why instead.
pub(crate) fn of(namespace: &Namespace<'_>) -> String {
    let mut report = String::new();
    for question in QUESTIONS {
        tell(&mut report, namespace, question);
    }
    let pods = answer(namespace, &["get", "pods", "--output=name"]);
    for pod in pods.lines().filter(|line| line.starts_with("pod/")) {
        let logs = ["logs", "--all-containers", "--timestamps", "--tail=40", pod];
        tell(&mut report, namespace, &logs);
        let previous = ["logs", "--all-containers", "--previous", "--tail=40", pod];
        tell(&mut report, namespace, &previous);
    }
    for program in PROGRAMS {
        let log = namespace.cluster().log(program);
        report.push_str(&format!("--- the end of {program}'s log ---\n{log}\n"));
    }
    report + "---"
}

fn tell(report: &mut String, namespace: &Namespace<'_>, question: &[&str]) {
    let answer = answer(namespace, question);
    let line = question.join(" ");
    report.push_str(&format!("--- kubectl {line} ---\n{}\n", answer.trim_end()));
}

fn answer(namespace: &Namespace<'_>, question: &[&str]) -> String {
    let answer = kubectl::command(namespace.words(question)).and_then(command::run);
    answer.unwrap_or_else(|error| format!("({error:#})"))
}
