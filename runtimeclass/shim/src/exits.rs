//! The exit codes of child processes. `containerd-shim` reaps every child of the server, orphans of containers included,
//! and notifies its subscribers. So no code here waits for a process itself.

use anyhow::{Context, Result, bail};
use containerd_shim::monitor::{
    Subject, Subscription, Topic, monitor_subscribe, monitor_unsubscribe,
};

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
