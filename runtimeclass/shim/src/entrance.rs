//! The way into a container for a process that `Exec` adds. It is shut while the container is paused, because a process that
//! is frozen on its way in would never arrive. It is closed for good once the container's first process has ended.

use crate::request::Location;
use std::path::Path;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The state of an entrance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Access {
    Open,
    /// The container is paused.
    Paused,
    /// The container's first process has ended.
    Closed,
}

/// The entrance of one container: held for reading by processes that enter, for writing to change its state.
pub(crate) struct Entrance(RwLock<Access>);

/// A container that a process enters. It is neither paused nor reported as ended until this is dropped.
pub(crate) struct Entered<'a> {
    pub(crate) location: &'a Location,
    /// The id of the container's first process.
    pub(crate) init: i32,
    /// The node's directory of compiled code.
    pub(crate) cache: &'a Path,
    pub(crate) _entrance: RwLockReadGuard<'a, Access>,
}

impl Entrance {
    /// Returns an entrance that is open.
    pub(crate) fn open() -> Self {
        Self(RwLock::new(Access::Open))
    }

    /// Waits until a change of the state is done, and keeps the state until the guard is dropped.
    pub(crate) async fn read(&self) -> RwLockReadGuard<'_, Access> {
        self.0.read().await
    }

    /// Waits until processes on their way in have arrived, and keeps others out until the guard is dropped.
    pub(crate) async fn write(&self) -> RwLockWriteGuard<'_, Access> {
        self.0.write().await
    }
}
