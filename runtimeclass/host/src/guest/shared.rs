//! What the workers of one component share.

use super::job::Jobs;
use super::spare::Spare;
use crate::component::Component;
use crate::limits::Limits;
use crate::memory::Budget;
use crate::watch::Watch;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Mutex;

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) component: Arc<Component>,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) watch: Arc<Watch>,
    /// Whether an instance of WASI 0.3 has its turn on the server's thread.
    pub(super) running: Arc<AtomicBool>,
    pub(super) jobs: Jobs,
    /// For components of WASI 0.2.
    pub(super) spare: Arc<Spare>,
    /// Locked by the worker that waits for memory. One at a time does, because together they would refuse each other.
    pub(super) waits_for_memory: Arc<Mutex<()>>,
}
