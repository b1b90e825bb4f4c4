//! How long a request waits for a volume that does not respond.

use super::error::{CountError, CountResult};
use super::platform::{Platform, ROOT};
use anyhow::anyhow;
use futures::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

/// The longest wait for the volume. It is below a host's usual time limit of 30 s, so that the visitor reads the cause
/// and the instance lives on.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(10);

/// The work that has exceeded [`STALL_LIMIT`]. While there is any, requests are refused at once.
#[derive(Clone, Default)]
pub(super) struct Stall(pub(super) Rc<Cell<u32>>);

/// Work that exceeded the limit. Dropping it means that the volume has responded.
pub(super) struct Overdue(Stall);

impl Stall {
    /// Returns the error of a stalled volume if work is overdue.
    pub(super) fn refuse_if_stalled(&self) -> CountResult<()> {
        match self.0.get() {
            0 => Ok(()),
            _ => Err(stalled()),
        }
    }

    /// Records work as overdue until the returned guard is dropped.
    pub(super) fn overdue(&self) -> Overdue {
        self.0.set(self.0.get() + 1);
        Overdue(self.clone())
    }

    /// Waits for `work`, at most [`STALL_LIMIT`]. The work runs to its end beside the caller, because dropping it could
    /// do harm: wit-bindgen 0.57 cancels a read or write synchronously, so that the whole instance would stand still
    /// until the volume responds; and a publisher dropped between its write and its second look may leave `visits.bin`
    /// behind.
    pub(super) async fn limit<P: Platform, T: 'static>(
        &self,
        platform: &P,
        work: impl Future<Output = CountResult<T>> + 'static,
    ) -> CountResult<T> {
        self.refuse_if_stalled()?;
        let (opener, gate) = platform.gate();
        let result = Rc::new(RefCell::new(None));
        let overdue = Rc::new(RefCell::new(None));
        let (result_slot, overdue_slot) = (result.clone(), overdue.clone());
        platform.spawn(async move {
            result_slot.replace(Some(work.await));
            overdue_slot.take();
            drop(opener);
        });
        match select(pin!(gate), pin!(platform.pause(STALL_LIMIT))).await {
            Either::Left(_) => result
                .take()
                .unwrap_or_else(|| Err(CountError::interrupted())),
            Either::Right(_) => {
                overdue.replace(Some(self.overdue()));
                Err(stalled())
            }
        }
    }
}

impl Drop for Overdue {
    fn drop(&mut self) {
        let Overdue(Stall(count)) = self;
        count.set(count.get() - 1);
    }
}

/// Returns the error of a volume that has not responded in time.
pub(super) fn stalled() -> CountError {
    CountError::unavailable(anyhow!(
        "{ROOT} has not answered for {STALL_LIMIT:?}: is its storage still there?"
    ))
}

/// One timer for many short steps, because each timer is a call to the host.
pub(super) struct Deadline<P: Platform> {
    platform: Rc<P>,
    timer: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<P: Platform> Deadline<P> {
    /// Returns a deadline that has not been set.
    pub(super) fn new(platform: Rc<P>) -> Self {
        Deadline {
            platform,
            timer: None,
        }
    }

    /// Waits until `limit` has passed. `now` is the present time.
    pub(super) async fn after(&mut self, mut now: Duration, limit: Duration) {
        let end = now + limit;
        while now < end {
            let timer = self.timer.get_or_insert_with(|| {
                let platform = self.platform.clone();
                Box::pin(async move { platform.pause(end - now).await })
            });
            timer.await;
            self.timer = None;
            now = self.platform.now();
        }
    }
}
