//! One program under this runtime and under runc, with several sets of flags: its rights, mounts, namespaces, descriptors,
//! and the devices that it can open must be the same.

use crate::container::{Container, Runtime};
use crate::node::Node;
use crate::rights::{Fields, as_strict, descriptors, granted, memberships, mounts, same};
use anyhow::{Context, Result, ensure};
use std::fs;
use visits_tests::{DEADLINE, wait};

/// Sets of flags, each with a name.
const FLAG_SETS: [(&str, &[&str]); 8] = [
    ("default", &[]),
    ("another user", &["--user=65532:65532"]),
    (
        "restricted",
        &["--user=65532:65532", "--seccomp", "--cap-drop=CAP_CHOWN"],
    ),
    ("read-only", &["--read-only", "--seccomp"]),
    ("privileged", &["--privileged", "--allow-new-privs"]),
    (
        "other capabilities",
        &["--cap-drop=CAP_CHOWN", "--cap-add=CAP_SYS_TIME"],
    ),
    ("another directory", &["--cwd=/run", "--env=GIVEN=to all"]),
    ("the node's processes", &["--with-ns=pid:/proc/1/ns/pid"]),
];

/// Makes, opens and removes devices, those that every container may use and those of the node. Prints the names of those
/// that it could open, then the umask.
const SCRIPT: &str = r#"
cd /tmp 2>/dev/null || cd /
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 kmsg:1:11 mem:1:1 port:1:4 tty:5:0 ptmx:5:2 \
              loop:7:0 disk:254:0 fuse:10:229 kvm:10:232 tun:10:200; do
    IFS=: read name major minor <<END
$device
END
    kind=c
    case $name in loop|disk) kind=b;; esac
    file=device-$name
    mknod $file $kind $major $minor 2>/dev/null || continue
    (: < $file) 2>/dev/null && echo opened $name
    rm -f $file
done
umask
exec sleep 1000
"#;

/// The properties of a container, by names that do not depend on the runtime.
struct Properties {
    granted: Fields,
    mounts: Fields,
    /// The lines that [`SCRIPT`] prints.
    printed: Vec<String>,
}

async fn properties(node: &Node, runtime: Runtime, flags: &[&str]) -> Result<Properties> {
    let container = Container::native(SCRIPT).runtime(runtime).flags(flags);
    let container = container.spawn().await?;
    let pid = container.runs().await?;
    wait::until("the program sleeps", DEADLINE, async || {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
        Ok(line.contains("sleep\u{0}1000").then_some(()))
    })
    .await?;
    // What it has printed arrives a moment later.
    let printed = wait::until("its umask arrives", DEADLINE, async || {
        let lines = container.stdout().lines();
        let complete = lines.iter().any(|line| line.starts_with('0'));
        Ok(complete.then_some(lines))
    })
    .await?;
    let mut fields = granted(pid)?;
    // Inodes differ, so compare whether each namespace is the container's own.
    let own = memberships(std::process::id() as i32)?;
    for (name, inode) in memberships(pid)? {
        if name.starts_with("namespace") {
            let shared = own.get(&name) == Some(&inode);
            fields.insert(name, if shared { "the node's" } else { "its own" }.into());
        }
    }
    fields.insert("descriptors".into(), format!("{:?}", descriptors(pid)?));
    let executable = fs::read_link(format!("/proc/{pid}/exe"))?;
    fields.insert("exe".into(), executable.display().to_string());
    let properties = Properties {
        granted: fields,
        mounts: mounts(pid)?,
        printed,
    };
    container.signal("SIGKILL").await?;
    container.ended(node).await?;
    Ok(properties)
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_has_the_same_as_under_runc_with_every_setting() -> Result<()> {
    let node = Node::shared().await?;
    let mut differences = Vec::new();
    for (what, flags) in FLAG_SETS {
        let runc = properties(&node, Runtime::Runc, flags);
        let runc = runc.await.context(what)?;
        let here = properties(&node, Runtime::Preopen, flags);
        let here = here.await.context(what)?;
        if here.printed != runc.printed {
            differences.push(format!(
                "{what}: {:?}, under runc {:?}",
                here.printed, runc.printed
            ));
        }
        for compared in [
            same(what, &here.granted, &runc.granted),
            as_strict(&here.mounts, &runc.mounts),
        ] {
            if let Err(error) = compared {
                differences.push(format!("{what}: {error:#}"));
            }
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
