//! A server that is a process of this machine.

use crate::server::Server;
use anyhow::{Context, Result, ensure};
use procfs::process::Process as Entry;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use visits_support::command::line;
use visits_support::wait;

/// How long a server may take to end. The host waits 25 seconds for requests in flight.
const END: Duration = Duration::from_secs(30);

/// A running process. It is killed on drop, and when this program ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    line: String,
    log: PathBuf,
}

impl Process {
    /// Starts a command. Its stdout and stderr go to the file `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let line = line(&command);
        let output =
            File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        // SAFETY: the closure makes one system call, and allocates only for an error that ends the child.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let log = log.to_owned();
        Ok(Self { child, line, log })
    }

    /// Returns the last lines of its output.
    fn output(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("; ")
    }
}

impl Server for Process {
    fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none(),
            "`{}` ended: {}; its output: {}",
            self.line,
            ended.unwrap_or_default(),
            self.output()
        );
        Ok(())
    }

    /// Returns the process and its children, and theirs.
    fn processes(&self) -> Result<Vec<Entry>> {
        let id = i32::try_from(self.child.id())?;
        let mut tree = vec![Entry::new(id).with_context(|| format!("`{}` ended", self.line))?];
        let mut next = 0;
        while let Some(parent) = tree.get(next) {
            // Without CONFIG_PROC_CHILDREN only the process itself is measured.
            let tasks = parent.tasks()?.flatten();
            let children: Vec<u32> = tasks
                .filter_map(|task| task.children().ok())
                .flatten()
                .collect();
            for child in children {
                tree.extend(Entry::new(i32::try_from(child)?).ok());
            }
            next += 1;
        }
        Ok(tree)
    }

    /// Ends the process with SIGTERM and waits for its end.
    fn stop(mut self: Box<Self>) -> Result<()> {
        self.check()?;
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .with_context(|| format!("cannot send `{}` SIGTERM", self.line))?;
        let what = format!("the end of `{}`", self.line);
        let child = &mut self.child;
        wait::until(&what, END, || Ok(child.try_wait()?))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Process, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::start(command, &directory.path().join("log"));
        (process.expect("sh starts"), directory)
    }

    #[test]
    fn the_cpu_time_of_children_counts() {
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done) & wait; exec sleep 60";
        let (process, _directory) = shell(script);
        let cpu = wait::until("CPU time of a busy child", END, || {
            let cpu = process.cpu()?;
            Ok((cpu > Duration::from_millis(50)).then_some(cpu))
        });
        assert!(cpu.expect("the child is busy") < END);
        assert!(process.memory().expect("it runs").anonymous > 0.0);
    }

    #[test]
    fn the_error_of_an_ended_process_has_its_output() {
        let (mut process, _directory) = shell("echo the reason; exit 3");
        let error = wait::until("the end", END, || Ok(process.check().err()));
        let error = error.expect("it ends").to_string();
        assert!(
            error.ends_with("exit status: 3; its output: the reason"),
            "{error}"
        );
        Box::new(process).stop().expect_err("it has ended");
    }
}
