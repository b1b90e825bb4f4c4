//! Which devices a container may use, where cgroup version 2 has everything: there a program in the kernel decides,
//! attached to the container's cgroup. libcontainer has one only with a library of C, and none where systemd makes the
//! cgroups; without one a container could make the file of any device and open it. This one is made of the
//! container's rules, as `super::bpf` writes it.

use super::bpf::{self, Rule};
use crate::cgroup::Cgroup;
use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, Spec};
use std::fs::File;

/// What every container may use, as under runc: null, zero, full, random, urandom, tty, console, ptmx, and its own
/// terminals. It may make the file of any.
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

/// Applies the rules to the cgroup of a process.
pub(super) fn confine(spec: &Spec, pid: i32) -> Result<()> {
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
    let opened = File::open(directory).with_context(|| directory.display().to_string())?;
    bpf::attach(&bpf::program(&rules), &opened).with_context(|| {
        format!(
            "{}: confine the container to its devices, for which the kernel needs CONFIG_CGROUP_BPF",
            directory.display()
        )
    })
}

/// The container's rules and after them those of every container, of which the last one that speaks of a device counts.
fn rules(spec: &Spec) -> Vec<Rule> {
    let resources = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.resources().as_ref());
    let own = resources.and_then(|resources| resources.devices().as_deref());
    let mut rules: Vec<Rule> = own.unwrap_or_default().iter().map(rule).collect();
    let any = Rule {
        allow: true,
        kind: None,
        major: None,
        minor: None,
        access: bpf::MAKE,
    };
    rules.push(any);
    rules.extend(ALWAYS.map(|(major, minor)| Rule {
        kind: Some(bpf::CHARACTER),
        major: Some(major),
        minor,
        access: bpf::ALL,
        ..any
    }));
    rules
}

fn rule(rule: &LinuxDeviceCgroup) -> Rule {
    // Negative is any.
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let access = rule.access().as_deref().unwrap_or("rwm").chars();
    Rule {
        allow: rule.allow(),
        kind: match rule.typ() {
            Some(LinuxDeviceType::B) => Some(bpf::BLOCK),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(bpf::CHARACTER),
            _ => None,
        },
        major: number(rule.major()),
        minor: number(rule.minor()),
        access: access.fold(0, |access, letter| {
            access
                | match letter {
                    'm' => bpf::MAKE,
                    'r' => bpf::READ,
                    'w' => bpf::WRITE,
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
    fn what_a_pod_gets_is_what_every_container_may_use() {
        let program = bpf::program(&rules(&spec(json!([{ "allow": false, "access": "rwm" }]))));
        let may =
            |kind, major, minor, access| bpf::tests::may(&program, kind, major, minor, access);
        assert!(
            may(bpf::CHARACTER, 1, 3, bpf::READ | bpf::WRITE),
            "/dev/null"
        );
        assert!(may(bpf::CHARACTER, 136, 7, bpf::READ), "a terminal");
        assert!(!may(bpf::CHARACTER, 1, 11, bpf::WRITE), "/dev/kmsg");
        assert!(!may(bpf::BLOCK, 1, 3, bpf::READ), "a disk");
        assert!(may(bpf::BLOCK, 8, 0, bpf::MAKE), "a disk's file");
        assert!(
            !may(bpf::BLOCK, 8, 0, bpf::MAKE | bpf::READ),
            "a disk, made and read"
        );
    }

    #[test]
    fn a_device_that_the_pod_is_given_can_be_used_as_far_as_it_is_given() {
        let given = json!({ "allow": true, "type": "b", "major": 8, "minor": 0, "access": "r" });
        let program = bpf::program(&rules(&spec(json!([{ "allow": false }, given]))));
        let may = |minor, access| bpf::tests::may(&program, bpf::BLOCK, 8, minor, access);
        assert!(may(0, bpf::READ));
        assert!(may(0, bpf::READ | bpf::MAKE), "by two rules");
        assert!(!may(0, bpf::READ | bpf::WRITE));
        assert!(!may(1, bpf::READ));
    }

    #[test]
    fn without_rules_of_its_own_a_container_has_those_of_every_container() {
        let program = bpf::program(&rules(&spec(json!([]))));
        assert!(!bpf::tests::may(&program, bpf::BLOCK, 8, 0, bpf::READ));
    }

    #[test]
    fn a_privileged_container_needs_no_program() {
        let rules = rules(&spec(json!([{ "allow": true, "access": "rwm" }])));
        assert!(rules.iter().all(|rule| rule.allow) && rules.iter().any(Rule::is_everything));
    }
}
