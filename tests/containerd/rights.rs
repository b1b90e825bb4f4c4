//! The rights of a process as `/proc` shows them, compared field by field.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Fields of the status file that differ between any two processes: names, ids and counters.
const OWN: [&str; 21] = [
    "Name",
    "State",
    "Tgid",
    "Ngid",
    "Pid",
    "PPid",
    "TracerPid",
    "FDSize",
    "NStgid",
    "NSpid",
    "NSpgid",
    "NSsid",
    "Threads",
    "SigQ",
    "SigPnd",
    "ShdPnd",
    "SigCgt",
    "voluntary_ctxt_switches",
    "nonvoluntary_ctxt_switches",
    "CoreDumping",
    "untag_mask",
];

/// Properties of a process by name.
pub(crate) type Fields = BTreeMap<String, String>;

/// Returns the rights of a process: users, capabilities, filters, limits, environment, directories, priority.
pub(crate) fn granted(pid: i32) -> Result<Fields> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read(&path).with_context(|| format!("cannot read {path}"))
    };
    let text =
        |name: &str| Ok::<_, anyhow::Error>(String::from_utf8_lossy(&read(name)?).into_owned());
    let mut fields = Fields::new();
    for line in text("status")?.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let measured =
            name.starts_with("Vm") || name.starts_with("Rss") || name.starts_with("Huge");
        if measured || OWN.contains(&name) {
            continue;
        }
        let mut value = value.trim().to_owned();
        if name == "SigIgn" {
            // Without 32 and 33: the C library uses them itself and leaves them ignored in its children.
            let signals = u64::from_str_radix(&value, 16)? & !(0b11 << 31);
            value = format!("{signals:016x}");
        }
        fields.insert(name.to_owned(), value);
    }
    for line in text("limits")?.lines() {
        let (name, values) = line.split_at(line.len().min(26));
        fields.insert(format!("limit {}", name.trim()), values.trim().to_owned());
    }
    let mut environment: Vec<String> = text("environ")?.split('\0').map(str::to_owned).collect();
    environment.sort();
    fields.insert("environ".into(), environment.join(" "));
    for name in [
        "oom_score_adj",
        "personality",
        "timerslack_ns",
        "coredump_filter",
        "loginuid",
    ] {
        // Not every kernel has all of these.
        if let Ok(value) = text(name) {
            fields.insert(name.into(), value.trim().to_owned());
        }
    }
    if let Ok(profile) = text("attr/current") {
        fields.insert(
            "profile".into(),
            profile.trim_end_matches(['\0', '\n']).to_owned(),
        );
    }
    for name in ["cwd", "root"] {
        let target = fs::read_link(format!("/proc/{pid}/{name}"))?;
        fields.insert(name.into(), target.display().to_string());
    }
    let nice = text("stat")?.rsplit(')').next().map(|rest| {
        let fields: Vec<&str> = rest.split_whitespace().collect();
        [fields[15], fields[16], fields[37], fields[38]].join(" ")
    });
    fields.insert(
        "priority, nice, realtime priority, policy".into(),
        nice.context("stat has no fields")?,
    );
    Ok(fields)
}

/// Returns the namespaces of a process by their inodes, and its cgroup in every hierarchy.
pub(crate) fn memberships(pid: i32) -> Result<Fields> {
    let mut fields = Fields::new();
    for entry in fs::read_dir(format!("/proc/{pid}/ns"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let target = fs::read_link(entry.path())?.display().to_string();
        fields.insert(format!("namespace {name}"), target);
    }
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    for line in cgroups.lines() {
        let (hierarchy, path) = line
            .rsplit_once(':')
            .context("a line of cgroup has no colon")?;
        fields.insert(format!("cgroup {hierarchy}"), path.to_owned());
    }
    ensure!(fields.len() > 8, "{fields:?}");
    Ok(fields)
}

/// Fails if two processes differ, and lists the differences, one per line.
pub(crate) fn same(what: &str, here: &Fields, there: &Fields) -> Result<()> {
    let keys: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let differences = keys
        .into_iter()
        .filter(|key| here.get(*key) != there.get(*key));
    let lines: Vec<String> = differences
        .map(|key| format!("{key}: {:?}, and {:?}", here.get(key), there.get(key)))
        .collect();
    ensure!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
    Ok(())
}

/// Returns the open descriptors of a process.
pub(crate) fn descriptors(pid: i32) -> Result<BTreeSet<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?))
        .collect()
}

/// Returns the mount points of a process with their file systems and options, without the names of sources.
pub(crate) fn mounts(pid: i32) -> Result<Fields> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mounts = text.lines().filter_map(|line| {
        let (first, second) = line.split_once(" - ")?;
        let first: Vec<&str> = first.split(' ').collect();
        let kind = second.split(' ').next()?;
        Some((
            first.get(4)?.to_string(),
            format!("{kind} {}", first.get(5)?),
        ))
    });
    let mounts: Fields = mounts.collect();
    // A container has more, and an empty list would be equal to another one.
    ensure!(mounts.len() > 5, "{path} has {} mounts", mounts.len());
    Ok(mounts)
}

/// Fails if the mount points differ from those under runc or have other restrictions (`ro`, `nosuid`, `nodev`, `noexec`).
pub(crate) fn as_strict(here: &Fields, runc: &Fields) -> Result<()> {
    let strict = |mounts: &Fields| -> Fields {
        let words = ["ro", "nosuid", "nodev", "noexec"];
        let of = |options: &str| -> Vec<String> {
            let given = options
                .split([' ', ','])
                .filter(|word| words.contains(word));
            given.map(str::to_owned).collect()
        };
        mounts
            .iter()
            .map(|(point, options)| (point.clone(), of(options).join(",")))
            .collect()
    };
    let (mut here, mut runc) = (strict(here), strict(runc));
    // This cgroup hierarchy has no controller, so a container loses nothing without it.
    runc.remove("/sys/fs/cgroup/systemd");
    here.remove("/sys/fs/cgroup/systemd");
    same("the mounts, and under runc", &here, &runc)
}
