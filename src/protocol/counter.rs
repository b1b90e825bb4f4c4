//! The counter: the handle through which requests count and read the count.
//!
//! A visitor takes a seat in the [queue](super::queue). The first one finds no leader, and starts [one](super::leader)
//! beside its own request. The leader takes the whole queue as a batch, counts it with one rename and one sync, hands out
//! the numbers, and goes on while visitors wait. Those who arrive while the disk works are the next batch.
//!
//! If the host cancels the request that the leader runs beside, the leader is dropped and a visitor who waits takes over.
//! If the volume does not respond, the [stall limit](super::stall) ends every wait.

use super::error::{CountError, CountResult, SharedError};
use super::inner::Inner;
use super::leader::Leader;
use super::observer::Observer;
use super::platform::Platform;
use super::queue::Outcome;
use std::mem;
use std::rc::Rc;
use std::time::SystemTime;

/// The counter of one instance. A clone is another handle to the same one.
pub struct Counter<P: Platform>(pub(super) Rc<Inner<P>>);

impl<P: Platform> Clone for Counter<P> {
    fn clone(&self) -> Self {
        Counter(self.0.clone())
    }
}

impl<P: Platform> Counter<P> {
    /// Returns a counter on the volume that the host preopened. Nothing is read until the first request.
    pub fn new(platform: Rc<P>, observer: Rc<dyn Observer>) -> Self {
        Counter(Rc::new(Inner::new(platform, observer)))
    }

    /// Counts one visit. Returns its number once it is durable and published. No other visit ever gets that number.
    ///
    /// # Errors
    /// Returns why the visit is not acknowledged. It was counted only if something failed after its number was claimed.
    pub async fn visit(&self) -> Result<u64, SharedError> {
        let inner = &self.0;
        inner.stall.refuse_if_stalled().map_err(Rc::new)?;
        let mut lead = inner.queue.start_leading();
        loop {
            let (opener, gate) = inner.platform.gate();
            let seat = inner.queue.join(opener);
            if mem::take(&mut lead) {
                inner.platform.spawn(Leader::new(inner.clone()).run());
            }
            gate.await;
            match seat.take() {
                Some(Outcome::Counted(number)) => return Ok(number),
                Some(Outcome::Failed(error)) => return Err(error),
                Some(Outcome::Lead) => lead = true,
                None => return Err(Rc::new(CountError::interrupted())),
            }
        }
    }

    /// Returns the number of visits counted so far, 0 before the first. Does not count.
    ///
    /// # Errors
    /// Returns why the volume cannot be read, or why what is on it is not a count.
    pub async fn current(&self) -> CountResult<u64> {
        let inner = self.0.clone();
        let current = self.limited(async move { inner.claims.current().await });
        self.logged("cannot read the count", current.await)
    }

    /// Checks that a visit could be counted now. Does not count.
    ///
    /// # Errors
    /// Returns the error that a visitor would get.
    pub async fn probe(&self) -> CountResult<()> {
        let inner = self.0.clone();
        let probed = self.limited(async move { inner.claims.probe().await });
        self.logged("not ready", probed.await)
    }

    /// Returns when counting on this volume began; `None` before that, and if the file system does not keep it.
    pub async fn since(&self) -> Option<SystemTime> {
        let publisher = self.0.publisher.clone();
        let since = self.limited(async move { Ok(publisher.since().await) });
        since.await.ok().flatten()
    }

    async fn limited<T: 'static>(
        &self,
        work: impl Future<Output = CountResult<T>> + 'static,
    ) -> CountResult<T> {
        self.0.stall.limit(&*self.0.platform, work).await
    }

    fn logged<T>(&self, what: &str, result: CountResult<T>) -> CountResult<T> {
        if let Err(error) = &result {
            self.0.platform.log(&format!("{what}: {error}"));
        }
        result
    }
}
