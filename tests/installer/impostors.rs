//! Processes that only look like containerd or like the shim. The script runs none of them and counts none of them.

use crate::layout::{Containerd, Layout, VERSION_3};
use crate::node::Node;
use crate::script::{SHIM, Script};
use anyhow::{Context, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Child, Command, Stdio};
use visits_tests::{DEADLINE, command, wait};

/// A user of the node without any rights.
const USER: u32 = 65500;
/// That user's directory.
const HOME: &str = "/var/home";
/// The shim's name.
const NAME: &str = "containerd-shim-preopen-v1";
/// How long an impostor would run, in seconds.
const FOR_EVER: &str = "2147483647";
/// How many process numbers may be used up in search of one.
const MAX_NUMBERS: u32 = 100_000;

/// Who a process belongs to, and how it is started.
#[derive(Clone, Copy, Debug)]
enum As {
    Root,
    User,
    /// Root of a user namespace, which is root's own outside, too.
    RootOfANamespace,
}

/// A process on the node that is not what its name says; it ends on drop.
#[derive(Debug)]
struct Impostor(Child);

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Impostor {
    /// Starts a command line of the node, whose number the script's glob lists after that of the node's containerd.
    async fn start(node: &Node, who: As, line: &[&str]) -> Result<Self> {
        let containerd = node.read("/run/pid")?.trim().to_owned();
        let mut impostor = None;
        for _ in 0..MAX_NUMBERS {
            if next_number()? > containerd {
                let started = Self::spawn(node, who, line)?;
                if started.0.id().to_string() > containerd {
                    impostor = Some(started);
                    break;
                }
            }
        }
        let Some(impostor) = impostor else {
            bail!("no process number is listed after {containerd}");
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

    fn spawn(node: &Node, who: As, line: &[&str]) -> Result<Self> {
        let first = node.first().to_string();
        let user = USER.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &first]);
        match who {
            As::Root => command.arg("--"),
            As::User => command.args(["--setuid", &user, "--setgid", &user, "--"]),
            As::RootOfANamespace => command.args(["--", "unshare", "--user", "--map-root-user"]),
        };
        command
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = command.spawn().context("run nsenter, of util-linux")?;
        Ok(Self(started))
    }
}

/// The number that a new process would have about now. Threads take theirs from the same supply, and start faster.
fn next_number() -> Result<String> {
    let look = || fs::read_link("/proc/thread-self");
    let link = std::thread::spawn(look).join();
    let link = link.ok().context("a thread has panicked")??;
    let name = link
        .file_name()
        .context("/proc/thread-self leads nowhere")?;
    Ok(name.to_string_lossy().into_owned())
}

/// Puts a program that waits into a directory, both of this owner, and returns its path.
fn program(node: &Node, name: &str, owner: u32, mode: u32) -> Result<String> {
    let home = node.path(HOME);
    fs::create_dir_all(&home)?;
    let file = home.join(name);
    // Not by this process: a child of another test could hold it open for writing, and then nobody can run it.
    let mut copy = Command::new("cp");
    copy.arg("/bin/sleep").arg(&file);
    command::run(copy)?;
    fs::set_permissions(&home, Permissions::from_mode(mode))?;
    for path in [&home, &file] {
        chown(path, Some(owner), Some(owner))?;
    }
    Ok(format!("{HOME}/{name}"))
}

/// Links another name to a file of the node: a process that is started by it has the name in its command line alone, as
/// after `exec -a`.
fn alias(node: &Node, name: &str, file: &str) -> Result<String> {
    let path = format!("{HOME}/{name}");
    symlink(file, node.path(&path))?;
    Ok(path)
}

async fn node() -> Result<Node> {
    Node::start(Layout::vanilla(Containerd::New, VERSION_3)).await
}

/// Installs, looks and uninstalls, as if the impostor were not there.
async fn is_not_run(node: &Node, impostor: Impostor) -> Result<()> {
    let script = Script::new()?;
    let before = node.files()?;
    script.run(node, &["install"]).await?.ok()?;
    assert!(node.info().await?.contains(SHIM));
    assert_eq!(node.restarts()?, 1);
    script.run(node, &["status"]).await?.ok()?;
    script.run(node, &["uninstall"]).await?.ok()?;
    assert_eq!(node.files()?.changed_since(&before, node.root()), [""; 0]);
    drop(impostor);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_that_a_user_calls_containerd_is_not_run() -> Result<()> {
    let node = node().await?;
    let program = program(&node, "own", USER, 0o755)?;
    let alias = alias(&node, "containerd", &program)?;
    let impostor = Impostor::start(&node, As::User, &[&alias, FOR_EVER]).await?;
    is_not_run(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_of_a_user_is_not_run_although_root_runs_it_as_containerd() -> Result<()> {
    let node = node().await?;
    let program = program(&node, "containerd", USER, 0o755)?;
    let impostor = Impostor::start(&node, As::Root, &[&program, FOR_EVER]).await?;
    is_not_run(&node, impostor).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_program_in_a_directory_that_others_may_write_is_not_run() -> Result<()> {
    for mode in [0o1777, 0o775] {
        let node = node().await?;
        let program = program(&node, "containerd", 0, mode)?;
        let impostor = Impostor::start(&node, As::Root, &[&program, FOR_EVER]).await?;
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
    let impostor = Impostor::start(&node, As::Root, &[&alias, FOR_EVER]).await?;
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
    is_not_run(&node, Impostor::start(&node, As::Root, &line).await?).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_containerd_that_runs_is_asked_wherever_it_is() -> Result<()> {
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
    // Nothing on the PATH leads to it any more, and it alone knows that this is no configuration.
    fs::remove_file(&link)?;
    let broken = format!("{VERSION_3}\n[unfinished\n");
    fs::write(node.path("/etc/containerd/config.toml"), broken)?;
    let error = Script::new()?.run(&node, &["install"]).await?.error()?;
    assert!(error.contains("does not take"), "{error}");
    Ok(())
}

/// Uninstalls although this process runs.
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
    for who in [As::User, As::RootOfANamespace] {
        let impostor = Impostor::start(&node, who, &[&program, FOR_EVER]).await?;
        is_no_shim(&node, impostor).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_set_user_id_program_that_is_called_a_shim_does_not_hold_up_uninstall() -> Result<()> {
    // What sudo is while it waits for a password: root's, and named by the user who has started it.
    let node = node().await?;
    let program = program(&node, NAME, 0, 0o755)?;
    fs::set_permissions(node.path(&program), Permissions::from_mode(0o4755))?;
    let impostor = Impostor::start(&node, As::Root, &[&program, FOR_EVER]).await?;
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
    is_no_shim(&node, Impostor::start(&node, As::Root, &line).await?).await
}
