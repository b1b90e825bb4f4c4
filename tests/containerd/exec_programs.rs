//! Which program an exec runs: found as runc finds it, or refused as runc refuses it.

use crate::container::{Container, Runtime};
use crate::images;
use crate::node::Node;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// What a shim with a component adds to the refusal of a name.
const HINT: &str = "; this container serves a WebAssembly component and has no shell: run \"help\" for the tools it has";

/// What runc reports of a program that it does not find.
fn refusal(name: &str, why: &str) -> String {
    format!(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: {name:?}: {why}"
    )
}

const NOT_FOUND: &str = "executable file not found in $PATH";

/// Programs that cannot run. The toolbox has tools of the last names, which are for components alone.
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
async fn a_native_container_refuses_a_program_in_the_words_of_runc() -> Result<()> {
    let node = Node::shared().await?;
    let mut refusals = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let mut words = BTreeMap::new();
        for name in REFUSED {
            words.insert(name, container.exec([name]).refused(&node).await?);
        }
        // It goes on, and can still be executed in.
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
async fn a_container_with_a_component_adds_where_help_is() -> Result<()> {
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
        let expected = refusal(name, why);
        let rest = refused.strip_prefix(&expected);
        ensure!(
            rest.is_some(),
            "{refused:?} does not begin with {expected:?}"
        );
        // The hint is for those who looked for a program, and is allowed on no line of its own.
        let hinted = rest == Some(HINT);
        ensure!(
            hinted || why != NOT_FOUND && rest == Some(""),
            "{refused:?}"
        );
    }
    assert_eq!(container.exec(["true"]).run(&node).await?.code, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_name_is_looked_up_along_the_path_of_the_exec() -> Result<()> {
    let node = Node::shared().await?;
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .env("PATH", "/nowhere:/app:/tools:/tmp")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        // As it is now, and not as it was when the container began.
        let script = "printf '#!/tools/sh\\necho script $1' > /tmp/late";
        assert_eq!(container.shell(script).run(&node).await?.code, 0);
        let refused = container.exec(["late"]).refused(&node).await?;
        ensure!(refused.contains(NOT_FOUND), "{runtime:?}: {refused}");
        container.shell("chmod 755 /tmp/late").run(&node).await?;
        let late = container.exec(["late", "ran"]).run(&node).await?;
        assert_eq!(late.text(), "script ran\n", "{runtime:?}");
        let execed = container
            .exec(["cat", "/proc/self/cmdline"])
            .run(&node)
            .await?;
        assert_eq!(execed.text(), "cat\0/proc/self/cmdline\0", "{runtime:?}");
        let path = container
            .exec(["readlink", "/proc/self/exe"])
            .run(&node)
            .await?;
        assert_eq!(path.text(), "/tools/sh\n", "{runtime:?}");
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
async fn beside_a_component_a_program_of_the_image_goes_before_the_toolbox() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).start(&node).await?;
    let busybox = container.exec(["busybox", "id", "-u"]).run(&node).await?;
    assert_eq!(
        (busybox.code, busybox.text().as_str()),
        (0, "65532\n"),
        "{busybox:?}"
    );
    // Busybox prints a version of its own; the toolbox has a `wc`, too, and it is another.
    let own = container.exec(["wc", "--help"]).run(&node).await?;
    ensure!(own.stderr.contains("BusyBox"), "{own:?}");
    let toolbox = container.exec(["/usr/bin/wc", "--help"]).run(&node).await;
    let toolbox = toolbox.map(|execed| format!("{execed:?}"));
    ensure!(!format!("{toolbox:?}").contains("BusyBox"), "{toolbox:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exec_has_the_directory_and_the_environment_that_it_is_given() -> Result<()> {
    let node = Node::shared().await?;
    let mut seen = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("export HIDDEN=1; sleep 1000")
            .env("GIVEN", "to all")
            .flag("--cwd=/tools")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let mut of_this = Vec::new();
        for flags in [vec![], vec!["--cwd=/tmp"], vec!["--user=1000:2000"]] {
            let builder = container.shell("id -u; id -g; id -G; pwd; env");
            let builder = flags
                .iter()
                .fold(builder, |builder, flag| builder.flag(*flag));
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
async fn a_directory_that_is_not_there_is_refused_or_made_as_under_runc() -> Result<()> {
    let node = Node::shared().await?;
    let mut refused = Vec::new();
    for runtime in Runtime::BOTH {
        let container = Container::native("sleep 1000")
            .runtime(runtime)
            .spawn()
            .await?;
        container.runs().await?;
        let exec = container.exec(["pwd"]).flag("--cwd=/nowhere");
        let began = match exec.clone().run(&node).await {
            Ok(execed) => execed.text(),
            Err(_) => "refused".to_owned(),
        };
        refused.push(began);
    }
    assert_eq!(refused[1], refused[0]);
    Ok(())
}
