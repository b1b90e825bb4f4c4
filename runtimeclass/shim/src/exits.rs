//! Which child process ended how. `containerd-shim` reaps every child of the server, the orphans of containers among
//! them, and tells whoever has subscribed; so nothing here waits for a process by itself.

use anyhow::{Context, Result, bail};
use containerd_shim::monitor::{
    Subject, Subscription, Topic, monitor_subscribe, monitor_unsubscribe,
};

/// The ends of child processes from the moment this was made.
pub(crate) struct Exits {
    subscription: Subscription,
}

impl Exits {
    /// Subscribes; to be done before the process of interest is made.
    pub(crate) async fn subscribe() -> Result<Self> {
        let subscription = monitor_subscribe(Topic::Pid)
            .await
            .context("subscribe to the ends of processes")?;
        Ok(Self { subscription })
    }

    /// Waits for the end of `pid`: its exit code, or 128 and the number of the signal that ended it.
    pub(crate) async fn of(&mut self, pid: i32) -> Result<i32> {
        while let Some(event) = self.subscription.rx.recv().await {
            if matches!(event.subject, Subject::Pid(ended) if ended == pid) {
                return Ok(event.exit_code);
            }
        }
        bail!("the subscription to the ends of processes was closed")
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
