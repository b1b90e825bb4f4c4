//! The program that an exec runs: found as under runc, or refused as under runc.

use crate::container::{Container, Runtime};
use crate::images;
use crate::node::Node;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// The hint that the shim adds to a refusal if the container serves a component.
const HINT: &str = "; this container serves a WebAssembly component and has no shell: run \"help\" for the tools it has";

/// Returns runc's message for a program that it cannot run.
fn refusal(name: &str, why: &str) -> String {
    format!(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: {name:?}: {why}"
    )
}

const NOT_FOUND: &str = "executable file not found in $PATH";

/// Programs that a native container cannot run. The last names are tools of the toolbox, which only components have.
const REFUSED: [&str; 10] = [
    "nope",
    "/nope",
    "/x/y",
    "./nope",
    "/tools",
    "plain",
    "/tools/plain",
    "/tools/sh/nope",
    "od",
    "help",
];

#[tokio::test]
#[ignore = "needs root"]
async fn a_native_container_refuses_a_program_with_runcs_message() -> Result<()> {
    let node = Node::shared().await?;
    let mut refusals = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        let mut words = BTreeMap::new();
        for name in REFUSED {
            words.insert(name, container.exec([name]).refused(&node).await?);
        }
        // The container keeps running and accepts execs.
        assert_eq!(container.shell("exit 9").run(&node).await?.code, 9);
        refusals.push(words);
    }
    for name in REFUSED {
        assert_eq!(refusals[1][name], refusals[0][name], "{name}");
    }
    assert_eq!(refusals[0]["nope"], refusal("nope", NOT_FOUND));
    assert_eq!(refusals[0]["od"], refusal("od", NOT_FOUND));
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_with_a_component_adds_a_hint_to_help() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    for (name, why) in [
        ("nope", NOT_FOUND),
        ("sh", NOT_FOUND),
        ("bash", NOT_FOUND),
        ("/x/y", "stat /x/y: no such file or directory"),
        ("/bin/sh", "stat /bin/sh: no such file or directory"),
        ("/bin/plain", "permission denied"),
    ] {
        let refused = container.exec([name]).refused(&node).await?;
        assert_eq!(refused, refusal(name, why) + HINT);
    }
    assert_eq!(container.exec(["true"]).run(&node).await?.code, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_name_is_looked_up_along_the_path_of_the_exec() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).env("PATH", "/nowhere:/app:/tools:/tmp");
        let container = container.spawn_running().await?;
        // The directories are searched as they are now, not as they were when the container started.
        let script = "printf '#!/tools/sh\\necho script $1' > /tmp/late";
        assert_eq!(container.shell(script).run(&node).await?.code, 0);
        let refused = container.exec(["late"]).refused(&node).await?;
        ensure!(refused.contains(NOT_FOUND), "{runtime:?}: {refused}");
        container.shell("chmod 755 /tmp/late").run(&node).await?;
        let late = container.exec(["late", "ran"]).run(&node).await?;
        assert_eq!(late.text(), "script ran\n", "{runtime:?}");
        let line = container.exec(["cat", "/proc/self/cmdline"]);
        let line = line.run(&node).await?.text();
        assert_eq!(line, "cat\0/proc/self/cmdline\0", "{runtime:?}");
        let path = container.exec(["readlink", "/proc/self/exe"]);
        let path = path.run(&node).await?.text();
        assert_eq!(path, "/tools/sh\n", "{runtime:?}");
        let relative = container
            .exec(["./readlink", "/proc/self/exe"])
            .flag("--cwd=/tools");
        assert_eq!(
            relative.run(&node).await?.text(),
            "/tools/sh\n",
            "{runtime:?}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_of_the_image_takes_precedence_over_the_toolbox() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let busybox = container.exec(["busybox", "id", "-u"]).run(&node).await?;
    assert_eq!(
        (busybox.code, busybox.text().as_str()),
        (0, "65532\n"),
        "{busybox:?}"
    );
    // The image has a `wc` of busybox, and the toolbox has one of its own.
    let own = container.exec(["wc", "--help"]).run(&node).await?;
    ensure!(own.stderr.contains("BusyBox"), "{own:?}");
    let toolbox = container.exec(["/bin/wc", "--help"]).run(&node).await?;
    assert_eq!(toolbox.code, 0, "{toolbox:?}");
    ensure!(!format!("{toolbox:?}").contains("BusyBox"), "{toolbox:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_has_the_directory_and_the_environment_it_is_given() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("export HIDDEN=1; sleep 1000")
            .env("GIVEN", "to all")
            .flag("--cwd=/tools")
            .runtime(runtime)
            .spawn_running()
            .await?;
        let mut of_this = Vec::new();
        for flag in [None, Some("--cwd=/tmp"), Some("--user=1000:2000")] {
            let mut builder = container.shell("id -u; id -g; id -G; pwd; env");
            if let Some(flag) = flag {
                builder = builder.flag(flag);
            }
            let execed = builder.run(&node).await?;
            ensure!(!execed.text().contains("HIDDEN"), "{execed:?}");
            ensure!(execed.text().contains("GIVEN=to all"), "{execed:?}");
            let mut lines: Vec<String> = execed.text().lines().map(str::to_owned).collect();
            lines.sort();
            of_this.push(lines);
        }
        seen.push(of_this);
    }
    assert_eq!(seen[1], seen[0]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_missing_working_directory_is_refused_as_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::sleeping(runtime).spawn_running().await?;
        let exec = container.exec(["pwd"]).flag("--cwd=/nowhere");
        let refused = exec.refused(&node).await?;
        ensure!(refused.contains("chdir"), "{runtime:?}: {refused}");
    }
    Ok(())
}
