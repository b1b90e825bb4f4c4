//! Processes that only look like containerd or the shim. The script must not run them or count them.

use crate::layout::{Containerd, Layout, VERSION_3};
use crate::node::Node;
use crate::script::{SHIM, Script};
use anyhow::{Context, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Child, Command, Stdio};
use visits_tests::{DEADLINE, command, wait};

/// An unprivileged user of the node.
const USER: u32 = 65500;
/// The directory of that user's programs.
const HOME: &str = "/var/home";
/// The shim's name.
const NAME: &str = "containerd-shim-preopen-v1";
/// The seconds for which an impostor would run.
const FOREVER: &str = "2147483647";
/// The number of process ids to try.
const MAX_IDS: u32 = 100_000;

/// The user that starts a process.
#[derive(Clone, Copy, Debug)]
enum StartedBy {
    Root,
    User,
    /// Root in a user namespace, and root outside it.
    RootOfANamespace,
}

/// A process on the node with a misleading name. It is killed on drop.
#[derive(Debug)]
struct Impostor(Child);

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Impostor {
    /// Starts a command line of the node. The script reads process ids in the order of a glob, as text, and takes the last;
    /// this one's id is after that of the node's containerd.
    async fn start(node: &Node, who: StartedBy, line: &[&str]) -> Result<Self> {
        let containerd = node.read("/run/pid")?.trim().to_owned();
        let mut impostor = None;
        for _ in 0..MAX_IDS {
            if next_id()? > containerd {
                let started = Self::spawn(node, who, line)?;
                if started.0.id().to_string() > containerd {
                    impostor = Some(started);
                    break;
                }
            }
        }
        let Some(impostor) = impostor else {
            bail!("no process id of {MAX_IDS} is after {containerd} as text");
        };
        let file = format!("/proc/{}/cmdline", impostor.0.id());
        let wanted = line.iter().map(|word| format!("{word}\0"));
        let wanted: String = wanted.collect();
        wait::until("the impostor runs", DEADLINE, async || {
            let now = fs::read(&file).with_context(|| file.clone())?;
            Ok((now == wanted.as_bytes()).then_some(()))
        })
        .await?;
        Ok(impostor)
    }

    fn spawn(node: &Node, who: StartedBy, line: &[&str]) -> Result<Self> {
        let first = node.first().to_string();
        let user = USER.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &first]);
        match who {
            StartedBy::Root => command.arg("--"),
            StartedBy::User => command.args(["--setuid", &user, "--setgid", &user, "--"]),
            StartedBy::RootOfANamespace => {
                command.args(["--", "unshare", "--user", "--map-root-user"])
            }
        };
        command
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = command
            .spawn()
            .context("cannot run nsenter, which is part of util-linux")?;
        Ok(Self(started))
    }
}

/// Returns the id that the next process is likely to have. Threads take ids from the same range and start faster.
fn next_id() -> Result<String> {
    let look = || fs::read_link("/proc/thread-self");
    let link = std::thread::spawn(look).join();
    let link = link.ok().context("a thread panicked")??;
    let name = link
        .file_name()
        .context("/proc/thread-self has no file name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// Makes a program that sleeps, in a directory with this mode. Both belong to this owner. Returns the program's path.
fn program(node: &Node, name: &str, owner: u32, mode: u32) -> Result<String> {
    let home = node.path(HOME);
    fs::create_dir_all(&home)?;
    let file = home.join(name);
    // Copied by another process: a child of another test could inherit the descriptor that is open for writing, and an open
    // program cannot be run.
    let mut copy = Command::new("cp");
    copy.arg("/bin/sleep").arg(&file);
    command::run(copy)?;
    fs::set_permissions(&home, Permissions::from_mode(mode))?;
    for path in [&home, &file] {
        chown(path, Some(owner), Some(owner))?;
    }
    Ok(format!("{HOME}/{name}"))
}

/// Links another name to a file of the node. A process started by the link has the name only in its command line, as after
/// `exec -a`.
fn alias(node: &Node, name: &str, file: &str) -> Result<String> {
    let path = format!("{HOME}/{name}");
    symlink(file, node.path(&path))?;
    Ok(path)
}

async fn node() -> Result<Node> {
    Node::start(Layout::vanilla(Containerd::Current, VERSION_3)).await
}

/// Checks that install, status and uninstall work as if the impostor were not there.
async fn is_not_run(node: &Node, impostor: Impostor) -> Result<()> {
    let script = Script::new()?;
    let before = node.files()?;
    script.run(node, &["install"]).await?.ok()?;
    assert!(node.info().await?.contains(SHIM));
    assert_eq!(node.restarts()?, 1);
    script.run(node, &["status"]).await?.ok()?;
    script.run(node, &["uninstall"]).await?.ok()?;
    node.is_as_in(&before)?;
    drop(impostor);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_that_a_user_calls_containerd_is_not_run() -> Result<()> {
    let node = node().await?;
    let program = program(&node, "own", USER, 0o755)?;
    let alias = alias(&node, "containerd", &program)?;
    let impostor = Impostor::start(&node, StartedBy::User, &[&alias, FOREVER]).await?;
    is_not_run(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_of_a_user_is_not_run_although_root_runs_it_as_containerd() -> Result<()> {
    let node = node().await?;
    let program = program(&node, "containerd", USER, 0o755)?;
    let impostor = Impostor::start(&node, StartedBy::Root, &[&program, FOREVER]).await?;
    is_not_run(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_in_a_directory_that_others_may_write_is_not_run() -> Result<()> {
    for mode in [0o1777, 0o775] {
        let node = node().await?;
        let program = program(&node, "containerd", 0, mode)?;
        let impostor = Impostor::start(&node, StartedBy::Root, &[&program, FOREVER]).await?;
        is_not_run(&node, impostor).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn another_program_that_root_runs_as_containerd_is_not_run() -> Result<()> {
    let node = node().await?;
    program(&node, "other", 0, 0o755)?;
    let alias = alias(&node, "containerd", "other")?;
    let impostor = Impostor::start(&node, StartedBy::Root, &[&alias, FOREVER]).await?;
    is_not_run(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_line_that_mentions_containerd_is_not_run() -> Result<()> {
    let node = node().await?;
    let log = "/var/log/containerd";
    fs::create_dir_all(node.path("/var/log"))?;
    fs::write(node.path(log), "")?;
    let line = ["tail", "-f", log, log];
    is_not_run(&node, Impostor::start(&node, StartedBy::Root, &line).await?).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_running_containerd_checks_the_configuration_wherever_it_is() -> Result<()> {
    let node = node().await?;
    let link = node.path("/usr/local/bin/containerd");
    let elsewhere = node.path("/opt/elsewhere");
    fs::create_dir(&elsewhere)?;
    let mut copy = Command::new("cp");
    copy.arg("--dereference").arg(&link).arg(&elsewhere);
    command::run(copy)?;
    fs::remove_file(&link)?;
    symlink("/opt/elsewhere/containerd", &link)?;
    node.run("service", [""; 0]).await?;
    node.answers().await?;
    // It is no longer on the PATH, and only it can reject this configuration.
    fs::remove_file(&link)?;
    let broken = format!("{VERSION_3}\n[unfinished\n");
    fs::write(node.path("/etc/containerd/config.toml"), broken)?;
    let error = Script::new()?.run(&node, &["install"]).await?.error()?;
    assert!(error.contains("does not accept"), "{error}");
    Ok(())
}

/// Checks that uninstall works although this process runs.
async fn is_no_shim(node: &Node, impostor: Impostor) -> Result<()> {
    let script = Script::new()?;
    script.run(node, &["install"]).await?.ok()?;
    let status = script.run(node, &["status"]).await?.ok()?;
    assert!(status.contains("; 0 processes of the shim run"), "{status}");
    script.run(node, &["uninstall"]).await?.ok()?;
    drop(impostor);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_that_a_user_starts_does_not_hold_up_uninstall() -> Result<()> {
    let node = node().await?;
    let program = program(&node, NAME, 0, 0o755)?;
    for who in [StartedBy::User, StartedBy::RootOfANamespace] {
        let impostor = Impostor::start(&node, who, &[&program, FOREVER]).await?;
        is_no_shim(&node, impostor).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_set_user_id_program_that_is_called_a_shim_does_not_hold_up_uninstall() -> Result<()> {
    // Like sudo while it waits for a password: a process of root whose arguments a user has chosen.
    let node = node().await?;
    let program = program(&node, NAME, 0, 0o755)?;
    fs::set_permissions(node.path(&program), Permissions::from_mode(0o4755))?;
    let impostor = Impostor::start(&node, StartedBy::Root, &[&program, FOREVER]).await?;
    is_no_shim(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_line_that_mentions_the_shim_does_not_hold_up_uninstall() -> Result<()> {
    let node = node().await?;
    let log = format!("/var/log/{NAME}");
    fs::create_dir_all(node.path("/var/log"))?;
    fs::write(node.path(&log), "")?;
    let line = ["tail", "-f", &log, &log];
    is_no_shim(&node, Impostor::start(&node, StartedBy::Root, &line).await?).await
}
