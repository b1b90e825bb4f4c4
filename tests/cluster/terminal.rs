//! `kubectl exec -it`: the exec's terminal has the operator's terminal size and keys.

use crate::cluster::Cluster;
use crate::namespace::Namespace;
use crate::pods::Pod;
use crate::sessions::Session;
use crate::shell::Shell;
use crate::specs;
use anyhow::{Result, ensure};

/// Sets the size of kubectl's terminal, which `script` from util-linux provides.
const SIZE: &str = "stty rows 33 cols 99";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_exec_in_a_terminal_has_its_size_and_its_interrupt_key() -> Result<()> {
    let cluster = Cluster::shared().await?;
    Namespace::with(&cluster, async |namespace| {
        let sleep = specs::native("native", "exec sleep 1000");
        namespace
            .apply(specs::pod("pod", &[specs::component("visits"), sleep]))
            .await?;
        Pod::ready(namespace, "pod").await?;
        let shell = Shell::new(namespace).await?;
        let in_terminal = |line: &str| {
            let kubectl = format!("{SIZE}; exec kubectl exec -it pod {line}");
            let mut script = shell.command("script")?;
            script.args(["-qec", &kubectl, "/dev/null"]);
            Session::start(script)
        };
        // The size may arrive after the program's start. Until then `stty` prints an error and succeeds.
        let waits = "sh -c 'until stty size | grep 33; do sleep 0.1; done'";
        let size = in_terminal(&format!("-c native -- {waits}"))?;
        size.prints("33 99", async || ()).await?;
        ensure!(size.ends().await? == Some(0));
        for container in ["visits", "native"] {
            let mut session = in_terminal(&format!("-c {container} -- cat"))?;
            // The terminal echoes the line, then the program prints it.
            session.write(b"typed\n")?;
            session.prints("typed\r\ntyped\r\n", async || ()).await?;
            session.check_running()?;
            session.write(b"\x03")?;
            let code = session.ends().await?;
            ensure!(
                code == Some(130),
                "the interrupt key in {container}: {code:?}"
            );
        }
        Ok(())
    })
    .await
}
