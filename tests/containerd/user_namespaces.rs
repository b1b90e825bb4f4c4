//! Pods with a user namespace (`hostUsers: false`): root in them is another user of the node. Programs are compared with
//! those under runc.

use crate::container::{Container, ExecBuilder, Runtime};
use crate::cri::{HANDLER, MAPPED_ROOT, Pod, PodContainer, RUNC, Setup};
use crate::exec_terminal::{SCRIPT, owns_and_follows};
use crate::images::{self, USER};
use crate::leftovers::cycles_leave_nothing;
use crate::node::Node;
use crate::process;
use crate::rights::{Fields, as_strict, granted, memberships, mounts, same};
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tempfile::TempDir;
use visits_tests::load;
use visits_tests::{DEADLINE, artifacts, wait};

/// Both handlers, the control first.
const HANDLERS: [&str; 2] = [RUNC, HANDLER];

/// Starts a container in a pod of its own with a user namespace.
async fn start(node: &Node, handler: &str, setup: Setup) -> Result<(Pod, PodContainer)> {
    let pod = Pod::start_in_user_namespace(node, handler).await?;
    let container = pod.run(node, setup.in_user_namespace()).await?;
    Ok((pod, container))
}

/// Starts a component in a pod of its own with a user namespace, and waits until it listens.
async fn serve(node: &Node, setup: Setup) -> Result<(Pod, PodContainer)> {
    let (pod, container) = start(node, HANDLER, setup).await?;
    container.listens(&pod, node).await?;
    Ok((pod, container))
}

/// Returns the namespace of a process: `user`.
fn namespace(pid: i32, name: &str) -> Result<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{name}"))?;
    Ok(link.display().to_string())
}

/// Returns the rights and the mounts of a sleeping program, without what is the pod's own.
async fn rights(pod: &Pod, pid: i32) -> Result<[Fields; 2]> {
    wait::until("the program sleeps", DEADLINE, async || {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .with_context(|| format!("process {pid}"))?;
        Ok(line.contains("sleep\u{0}1000").then_some(()))
    })
    .await?;
    let mut granted = granted(pid)?;
    let environment = granted.get_mut("environ").context("no environment")?;
    *environment = environment.replace(pod.name(), "POD");
    for name in ["uid_map", "gid_map", "setgroups"] {
        let text = fs::read_to_string(format!("/proc/{pid}/{name}"))?;
        granted.insert(name.into(), text);
    }
    let mut mounts = mounts(pid)?;
    // containerd configures stricter options for it, which runc loses and this runtime keeps.
    mounts.remove("/dev/shm");
    Ok([granted, mounts])
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_and_an_exec_have_the_rights_that_they_have_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let sleep = ["/tools/sleep", "1000"];
    for (user, setup) in [
        (0, Setup::native("exec sleep 1000")),
        (USER, Setup::of(images::NATIVE).command(sleep)),
    ] {
        let mut seen = Vec::new();
        for handler in HANDLERS {
            let (pod, container) = start(&node, handler, setup.clone()).await?;
            let pid = container.pid().await?;
            let first = rights(&pod, pid).await?;
            let id = process::status(pid, "Uid")?;
            ensure!(
                id.starts_with(&(MAPPED_ROOT + user).to_string()),
                "{handler}: {id}"
            );
            ensure!(
                namespace(pid, "user")? != namespace(std::process::id() as i32, "user")?,
                "{handler}: the node's user namespace"
            );
            let exec = container.exec(sleep).start()?;
            let exec_pid = exec.pid().await?;
            let execed = rights(&pod, exec_pid).await?;
            same(handler, &memberships(exec_pid)?, &memberships(pid)?)?;
            exec.killed(&node).await?;
            seen.push((first, execed));
        }
        let (here, runc) = (&seen[1], &seen[0]);
        same("the program, and under runc", &here.0[0], &runc.0[0])?;
        same("the exec, and under runc", &here.1[0], &runc.1[0])?;
        as_strict(&here.0[1], &runc.0[1])?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_counts_on_a_volume_with_mapped_owners() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let setup = Setup::of(images::VISITS).mapped_volume(volume.path(), images::VISITS_VOLUME);
    let (pod, container) = serve(&node, setup).await?;
    assert_eq!(load::visits(pod.address(), 1, 2).await?, [1, 2]);
    let pid = container.pid().await?;
    for (name, value) in [
        ("Uid", (MAPPED_ROOT + USER).to_string()),
        ("Gid", (MAPPED_ROOT + USER).to_string()),
        ("CapEff", "0000000000000000".into()),
        ("CapBnd", "0000000000000000".into()),
        ("NoNewPrivs", "1".into()),
        ("Seccomp_filters", "2".into()),
    ] {
        let status = process::status(pid, name)?;
        ensure!(status.starts_with(&value), "{name}: {status}");
    }
    container.stop(30).await?;
    assert_eq!(container.ended(&node).await?["exitCode"], 0);
    assert_eq!(load::visits_bin(volume.path())?, 2);
    // On the node the files belong to the user that the pod names.
    let owner = fs::metadata(volume.path().join("visits.bin"))?.uid();
    assert_eq!(owner, USER);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_containers_of_a_pod_share_its_user_namespace() -> Result<()> {
    let node = Node::shared().await?;
    let (pod, component) = serve(&node, Setup::of(images::HELLO)).await?;
    let beside = Setup::native("sleep 1000").in_user_namespace();
    let beside = pod.run(&node, beside).await?;
    let pids = [component.pid().await?, beside.pid().await?];
    for name in ["user", "net", "ipc", "uts"] {
        let [one, other] = pids.map(|pid| namespace(pid, name));
        assert_eq!(one?, other?, "{name}");
    }
    // The pod's network belongs to its user namespace, so its root may change it.
    let other = Pod::start_in_user_namespace(&node, HANDLER).await?;
    let setup = Setup::native("sleep 1000").in_user_namespace();
    let elsewhere = other.run(&node, setup).await?.pid().await?;
    ensure!(
        namespace(elsewhere, "user")? != namespace(pids[0], "user")?,
        "two pods share a user namespace"
    );
    Ok(())
}

/// A directory of the node's root with a file that only root may read.
fn private(content: &[u8]) -> Result<TempDir> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let file = directory.path().join("private");
    fs::write(&file, content)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700))?;
    Ok(directory)
}

#[tokio::test]
#[ignore = "needs root"]
async fn root_in_a_pod_has_no_rights_over_files_of_the_nodes_root() -> Result<()> {
    let node = Node::shared().await?;
    let script = "cat /plain/private; echo x > /plain/new; cat /mapped/private; \
                  echo x > /mapped/new; echo done";
    for handler in HANDLERS {
        let (plain, mapped) = (private(b"plain\n")?, private(b"mapped\n")?);
        let setup = Setup::native(script)
            .volume(plain.path(), "/plain")
            .mapped_volume(mapped.path(), "/mapped");
        let (_pod, container) = start(&node, handler, setup).await?;
        container.ended(&node).await?;
        let log = container.log();
        let printed: Vec<&str> = log
            .iter()
            .filter_map(|line| line.strip_prefix("stdout F "))
            .collect();
        assert_eq!(printed, ["mapped", "done"], "{handler}: {log:?}");
        ensure!(!plain.path().join("new").exists(), "{handler}: {log:?}");
        let new = fs::metadata(mapped.path().join("new"))?;
        assert_eq!((new.uid(), new.gid()), (0, 0), "{handler}");
    }
    Ok(())
}

/// The helper, which is the node's root, reads a WASI command for the container's user.
#[tokio::test]
#[ignore = "needs root"]
async fn root_in_a_pod_runs_no_wasi_command_that_only_the_nodes_root_may_read() -> Result<()> {
    let node = Node::shared().await?;
    let wasm = images::read(&artifacts::command_wasm()?)?;
    let (plain, mapped) = (private(&wasm)?, private(&wasm)?);
    let setup = Setup::native("sleep 1000")
        .volume(plain.path(), "/plain")
        .mapped_volume(mapped.path(), "/mapped");
    let (_pod, container) = start(&node, HANDLER, setup).await?;
    let runs = container.exec(["/mapped/private", "terminals"]);
    assert_eq!(runs.run(&node).await?.text(), "false false false\n");
    let refused = container.exec(["/plain/private", "terminals"]);
    let refused = refused.refused(&node).await?;
    ensure!(refused.contains("permission denied"), "{refused}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_wasi_command_is_in_the_components_namespaces_without_its_rights() -> Result<()> {
    let node = Node::shared().await?;
    let (_pod, container) = serve(&node, Setup::of(images::COMMANDS)).await?;
    let exec = container.exec(["command", "loop"]).start()?;
    exec.prints("looping").await?;
    let pid = exec.pid().await?;
    same(
        "the exec, and the component",
        &memberships(pid)?,
        &memberships(container.pid().await?)?,
    )?;
    let id = process::status(pid, "Uid")?;
    ensure!(id.starts_with(&(MAPPED_ROOT + USER).to_string()), "{id}");
    assert_eq!(process::status(pid, "CapEff")?, "0000000000000000");
    let mapped = (MAPPED_ROOT + USER).to_string();
    for pid in [pid, container.pid().await?] {
        assert_eq!(process::status(pid, "Groups")?, mapped);
    }
    exec.killed(&node).await?;
    let tool = container.exec(["cat", "/app/spin.toml"]).run(&node).await?;
    ensure!(tool.text().contains("spin_manifest_version"), "{tool:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_streams_and_terminals_of_a_pod_belong_to_its_users() -> Result<()> {
    let node = Node::shared().await?;
    for handler in HANDLERS {
        for (user, setup) in [(0, Setup::native("")), (USER, Setup::of(images::NATIVE))] {
            let what = || format!("{handler}, user {user}");
            let script = "echo opened > /dev/stdout; exec sleep 1000";
            let setup = setup.command(["/tools/sh", "-c", script]);
            let (pod, container) = start(&node, handler, setup.clone()).await?;
            wait::until("the stream is opened", DEADLINE, async || {
                let log = container.log();
                Ok(log.contains(&"stdout F opened".to_owned()).then_some(()))
            })
            .await
            .with_context(what)?;
            let exec: ExecBuilder = container.exec(["sh", "-c", SCRIPT]);
            let mut terminal = exec.in_sized_terminal(101, 33)?;
            let checked = owns_and_follows(&node, &mut terminal, user).await;
            checked.with_context(what)?;
            let listed = setup
                .stdin(true)
                .command(["/tools/sh", "-c", "ls -ln $(tty)"]);
            let listed = pod.run(&node, listed.in_user_namespace()).await?;
            listed.ended(&node).await?;
            let log = listed.log().concat();
            ensure!(log.contains(&format!(" {user} ")), "{}: {log}", what());
        }
    }
    Ok(())
}

/// The namespace of a container that is in no pod is the runtime's to create. The ids of its image are mapped by the runtime
/// (`--remap-labels`) or by a copy of the files.
#[tokio::test]
#[ignore = "needs root"]
async fn a_container_without_a_pod_has_a_user_namespace_of_its_own() -> Result<()> {
    let node = Node::shared().await?;
    for mappings in [&["0:100000:65536"][..], &["0:0:20", "20:2000:65516"]] {
        for flags in [
            &["--remap-labels"][..],
            &[],
            &["--read-only"],
            &["--user=30:40"],
        ] {
            let runc = looks(&node, Runtime::Runc, mappings, flags).await?;
            let here = looks(&node, Runtime::Preopen, mappings, flags).await?;
            assert_eq!(here, runc, "{mappings:?}, {flags:?}");
            for mapping in mappings {
                let line = mapping.replace(':', " ");
                ensure!(here.contains(&line), "{flags:?}: no {line} in {here:?}");
            }
        }
    }
    Ok(())
}

/// Returns what a container with these mappings sees of itself, line by line.
async fn looks(
    node: &Node,
    runtime: Runtime,
    mappings: &[&str],
    flags: &[&str],
) -> Result<Vec<String>> {
    let made = match flags {
        ["--read-only"] => "/tmp",
        _ => "/made",
    };
    let builder =
        Container::native("id; cat /proc/self/uid_map; ls -lnd /tools /made; pwd; ulimit -n")
            .runtime(runtime)
            .flags(flags)
            .in_user_namespace(mappings)
            .flag(format!("--cwd={made}"));
    let ended = builder.spawn().await?.ended(node).await?;
    let lines = ended.stdout.iter().map(|line| {
        let words = line.split_whitespace();
        // Without the size and the time of a directory.
        let kept = if line.starts_with('d') { 4 } else { usize::MAX };
        words.take(kept).collect::<Vec<_>>().join(" ")
    });
    Ok(lines.collect())
}

/// The reason why the shim reports no user namespaces if it has options in containerd's configuration.
#[tokio::test]
#[ignore = "needs root"]
async fn containerd_cannot_add_the_owners_of_streams_to_options_of_the_shim() -> Result<()> {
    let node = Node::shared().await?;
    let options = tempfile::NamedTempFile::new()?;
    fs::write(&options, "SystemdCgroup = false\n")?;
    let error = Container::native("true")
        .in_user_namespace(&["0:100000:65536"])
        .flag("--runtime-config-path")
        .flag(options.path())
        .refused(&node)
        .await?;
    ensure!(error.contains("v2 options"), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn pods_with_user_namespaces_leave_no_process_mount_cgroup_or_file() -> Result<()> {
    let node = Node::alone().await?;
    let volume = volume()?;
    let setup = Setup::of(images::VISITS).mapped_volume(volume.path(), images::VISITS_VOLUME);
    cycles_leave_nothing(&node, 3, &[], async |_| {
        let (pod, _container) = serve(&node, setup.clone()).await?;
        no_mounts_on_the_node(pod.id())?;
        pod.stop().await?;
        let cgroup = pod.cgroup().to_owned();
        drop(pod);
        // kubelet makes and removes the pod's own cgroup.
        for directory in crate::cgroup::below(&cgroup)? {
            let _ = fs::remove_dir(directory);
        }
        Ok(())
    })
    .await
}

/// Fails if the node sees the mounts that the helper made for a container.
fn no_mounts_on_the_node(pod: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(
        mounts.contains(pod),
        "the pod's root is not mounted: {mounts}"
    );
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let made = points.find(|point| {
        let bundle = point.contains("/io.containerd.runtime.v2.task/");
        bundle && (point.contains("/layers") || point.contains("/volumes"))
    });
    ensure!(made.is_none(), "{made:?} is mounted on the node");
    Ok(())
}
