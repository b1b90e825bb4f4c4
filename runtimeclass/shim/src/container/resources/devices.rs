//! The devices that a container may use on cgroup version 2. There a BPF program decides, which is attached to the
//! container's cgroup. Without one a container could create and open the file of any device.
//!
//! libcontainer's program needs a C library, and it has none if systemd creates the cgroups. So the shim writes the program
//! from the container's rules (`super::bpf`).

use super::bpf::{self, Rule};
use crate::cgroup::Cgroup;
use crate::container::bundle::spec;
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, Spec};
use std::fs::File;

/// The devices that every container may use, as with runc: null, zero, full, random, urandom, tty, console, ptmx, and its own
/// terminals. It may create the file of any device.
const ALWAYS: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Applies the container's device rules to the cgroup of a process.
pub(crate) fn apply_rules(spec: &Spec, pid: i32) -> Result<()> {
    let cgroup = Cgroup::of(pid)?;
    // On version 1 libcontainer writes the rules into the controller's files.
    if !cgroup.is_unified() {
        return Ok(());
    }
    let rules = rules(spec);
    // A privileged container needs no program.
    if rules.iter().all(|rule| rule.allow) && rules.iter().any(Rule::is_everything) {
        return Ok(());
    }
    let directory = cgroup.controller("devices");
    let describe = || {
        let directory = directory.display();
        format!("cannot apply device rules to {directory} (has the kernel CONFIG_CGROUP_BPF?)")
    };
    let opened = File::open(directory).with_context(describe)?;
    bpf::attach(&bpf::program(&rules), &opened).with_context(describe)
}

/// Returns the container's own rules, followed by the rules of every container. The last rule that matches counts.
fn rules(spec: &Spec) -> Vec<Rule> {
    let mut rules: Vec<Rule> = spec::device_rules(spec).iter().map(rule).collect();
    let any = Rule {
        allow: true,
        kind: None,
        major: None,
        minor: None,
        access: bpf::BPF_DEVCG_ACC_MKNOD,
    };
    rules.push(any);
    rules.extend(ALWAYS.map(|(major, minor)| Rule {
        kind: Some(bpf::BPF_DEVCG_DEV_CHAR),
        major: Some(major),
        minor,
        access: bpf::ALL_ACCESS,
        ..any
    }));
    rules
}

fn rule(rule: &LinuxDeviceCgroup) -> Rule {
    // A negative number stands for any.
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let access = rule.access().as_deref().unwrap_or("rwm").chars();
    Rule {
        allow: rule.allow(),
        kind: match rule.typ() {
            Some(LinuxDeviceType::B) => Some(bpf::BPF_DEVCG_DEV_BLOCK),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(bpf::BPF_DEVCG_DEV_CHAR),
            _ => None,
        },
        major: number(rule.major()),
        minor: number(rule.minor()),
        access: access.fold(0, |access, letter| {
            access
                | match letter {
                    'm' => bpf::BPF_DEVCG_ACC_MKNOD,
                    'r' => bpf::BPF_DEVCG_ACC_READ,
                    'w' => bpf::BPF_DEVCG_ACC_WRITE,
                    _ => 0,
                }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(devices: serde_json::Value) -> Spec {
        let spec =
            json!({ "ociVersion": "1.0.2", "linux": { "resources": { "devices": devices } } });
        serde_json::from_value(spec).expect("a specification")
    }

    #[test]
    fn a_pod_may_use_the_devices_of_every_container() {
        let program = bpf::program(&rules(&spec(json!([{ "allow": false, "access": "rwm" }]))));
        let may =
            |kind, major, minor, access| bpf::tests::may(&program, kind, major, minor, access);
        assert!(
            may(
                bpf::BPF_DEVCG_DEV_CHAR,
                1,
                3,
                bpf::BPF_DEVCG_ACC_READ | bpf::BPF_DEVCG_ACC_WRITE
            ),
            "/dev/null"
        );
        assert!(
            may(bpf::BPF_DEVCG_DEV_CHAR, 136, 7, bpf::BPF_DEVCG_ACC_READ),
            "a terminal"
        );
        assert!(
            !may(bpf::BPF_DEVCG_DEV_CHAR, 1, 11, bpf::BPF_DEVCG_ACC_WRITE),
            "/dev/kmsg"
        );
        assert!(
            !may(bpf::BPF_DEVCG_DEV_BLOCK, 1, 3, bpf::BPF_DEVCG_ACC_READ),
            "a disk"
        );
        assert!(
            may(bpf::BPF_DEVCG_DEV_BLOCK, 8, 0, bpf::BPF_DEVCG_ACC_MKNOD),
            "a disk's file"
        );
        assert!(
            !may(
                bpf::BPF_DEVCG_DEV_BLOCK,
                8,
                0,
                bpf::BPF_DEVCG_ACC_MKNOD | bpf::BPF_DEVCG_ACC_READ
            ),
            "a disk, created and read"
        );
    }

    #[test]
    fn a_device_of_the_pod_may_be_used_as_its_rule_allows() {
        let given = json!({ "allow": true, "type": "b", "major": 8, "minor": 0, "access": "r" });
        let program = bpf::program(&rules(&spec(json!([{ "allow": false }, given]))));
        let may =
            |minor, access| bpf::tests::may(&program, bpf::BPF_DEVCG_DEV_BLOCK, 8, minor, access);
        assert!(may(0, bpf::BPF_DEVCG_ACC_READ));
        assert!(
            may(0, bpf::BPF_DEVCG_ACC_READ | bpf::BPF_DEVCG_ACC_MKNOD),
            "allowed by two rules"
        );
        assert!(!may(0, bpf::BPF_DEVCG_ACC_READ | bpf::BPF_DEVCG_ACC_WRITE));
        assert!(!may(1, bpf::BPF_DEVCG_ACC_READ));
    }

    #[test]
    fn without_own_rules_a_container_has_those_of_every_container() {
        let program = bpf::program(&rules(&spec(json!([]))));
        assert!(!bpf::tests::may(
            &program,
            bpf::BPF_DEVCG_DEV_BLOCK,
            8,
            0,
            bpf::BPF_DEVCG_ACC_READ
        ));
    }

    #[test]
    fn a_privileged_container_needs_no_program() {
        let rules = rules(&spec(json!([{ "allow": true, "access": "rwm" }])));
        assert!(rules.iter().all(|rule| rule.allow) && rules.iter().any(Rule::is_everything));
    }
}
