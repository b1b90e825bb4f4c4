//! The exit codes of child processes. One task reaps every child of the server, orphans of containers included, and
//! notifies its subscribers. So no other code waits for a process itself.

use anyhow::{Context, Result, bail};
use containerd_shim::monitor::{
    Subject, Subscription, Topic, monitor_notify_by_pid, monitor_subscribe, monitor_unsubscribe,
};
use rustix::process::{WaitOptions, WaitStatus, getpid, set_child_subreaper, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Adopts the orphans of this process's children, and returns the task that reaps all of them. Children that exit from now
/// on are reaped once it runs.
pub(crate) fn reap() -> Result<impl Future<Output = ()> + Send> {
    set_child_subreaper(Some(getpid())).context("cannot adopt the orphans of containers")?;
    let mut exits = signal(SignalKind::child()).context("cannot wait for child processes")?;
    Ok(async move {
        while exits.recv().await.is_some() {
            // One signal may stand for several exits.
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                let Some(code) = code(status) else { continue };
                let pid = pid.as_raw_nonzero().get();
                if let Err(error) = monitor_notify_by_pid(pid, code).await {
                    let error = error.to_string();
                    log::error!("exit not reported pid={pid} error={error:?}");
                }
            }
        }
    })
}

/// Returns the exit code of a process that has ended: its own, or 128 and the number of the signal that ended it.
fn code(status: WaitStatus) -> Option<i32> {
    let killed = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(killed)
}

/// The exits of child processes since this subscription began.
pub(crate) struct Exits {
    subscription: Subscription,
}

impl Exits {
    /// Subscribes. Call this before the process exists, or its exit may be missed.
    pub(crate) async fn subscribe() -> Result<Self> {
        let subscription = monitor_subscribe(Topic::Pid)
            .await
            .context("cannot subscribe to process exits")?;
        Ok(Self { subscription })
    }

    /// Waits until `pid` exits. Returns its exit code, or 128 and the number of the signal that ended it.
    pub(crate) async fn of(&mut self, pid: i32) -> Result<i32> {
        while let Some(event) = self.subscription.rx.recv().await {
            if matches!(event.subject, Subject::Pid(ended) if ended == pid) {
                return Ok(event.exit_code);
            }
        }
        bail!("the subscription to process exits closed")
    }
}

impl Drop for Exits {
    fn drop(&mut self) {
        let id = self.subscription.id;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(monitor_unsubscribe(id));
        }
    }
}
