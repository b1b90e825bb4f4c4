//! What the kernel grants a process, for comparisons field by field.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Fields of the status file that differ between any two processes: names, numbers, and what they have used.
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

/// What a process is, one field a key.
pub(crate) type Fields = BTreeMap<String, String>;

/// What the kernel grants a process, one field a key.
pub(crate) fn granted(pid: i32) -> Result<Fields> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read(&path).with_context(|| path)
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
            // Without 32 and 33, which the C library has for itself, and leaves ignored in what it spawns.
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
        // Not every kernel has all of them.
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
        nice.context("stat")?,
    );
    Ok(fields)
}

/// Where a process is: its namespaces by their inodes, its cgroup in every hierarchy.
pub(crate) fn place(pid: i32) -> Result<Fields> {
    let mut fields = Fields::new();
    for entry in fs::read_dir(format!("/proc/{pid}/ns"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let target = fs::read_link(entry.path())?.display().to_string();
        fields.insert(format!("namespace {name}"), target);
    }
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    for line in cgroups.lines() {
        let (hierarchy, path) = line.rsplit_once(':').context("a line of cgroup")?;
        fields.insert(format!("cgroup {hierarchy}"), path.to_owned());
    }
    ensure!(fields.len() > 8, "{fields:?}");
    Ok(fields)
}

/// The differences are named, one a line.
pub(crate) fn same(what: &str, here: &Fields, there: &Fields) -> Result<()> {
    let keys: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let differences = keys
        .into_iter()
        .filter(|key| here.get(*key) != there.get(*key));
    let told: Vec<String> = differences
        .map(|key| format!("{key}: {:?}, and {:?}", here.get(key), there.get(key)))
        .collect();
    ensure!(told.is_empty(), "{what}:\n{}", told.join("\n"));
    Ok(())
}

/// The numbers of a process's descriptors.
pub(crate) fn descriptors(pid: i32) -> Result<BTreeSet<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?))
        .collect()
}

/// Mount points and their options, without what names the container.
pub(crate) fn mounts(pid: i32) -> Result<Fields> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let mounts = text.lines().filter_map(|line| {
        let (first, second) = line.split_once(" - ")?;
        let first: Vec<&str> = first.split(' ').collect();
        let kind = second.split(' ').next()?;
        Some((
            first.get(4)?.to_string(),
            format!("{kind} {}", first.get(5)?),
        ))
    });
    Ok(mounts.collect())
}

/// The same mounts, each with every restriction that it has under runc.
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
    // A hierarchy of cgroups that has no controller; to leave it out takes nothing from anyone.
    runc.remove("/sys/fs/cgroup/systemd");
    here.remove("/sys/fs/cgroup/systemd");
    same("the mounts, and under runc", &here, &runc)
}
