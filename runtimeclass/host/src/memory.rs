//! One budget of memory for all instances of an application.

use crate::limits::MemoryLimit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use wasmtime::{ResourceLimiter, format_err};

/// The memory that all instances of an application may have together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: MemoryLimit,
    /// Bytes.
    used: AtomicUsize,
    released: Notify,
}

impl Budget {
    pub(crate) fn new(limit: MemoryLimit) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            released: Notify::new(),
        })
    }

    /// Returns an instance's share of the budget. It is given back when it is dropped.
    pub(crate) fn share(self: &Arc<Self>) -> Memory {
        Memory {
            budget: self.clone(),
            used: 0,
            refused_beside: None,
        }
    }

    /// Returns how much memory all instances have, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Waits until all instances together have less than this, in bytes.
    pub(crate) async fn below(&self, used: usize) {
        loop {
            let released = self.released.notified();
            if self.used() < used {
                return;
            }
            released.await;
        }
    }
}

/// The memory of one instance, over all its linear memories and tables. Growing beyond the budget traps, so that the log
/// names the limit. If growing only failed, the log would show how the component misbehaves without memory.
#[derive(Debug)]
pub(crate) struct Memory {
    budget: Arc<Budget>,
    used: usize,
    /// What the other instances had when this one was refused more, in bytes.
    refused_beside: Option<usize>,
}

impl Memory {
    /// Returns what the other instances had when this one was refused memory, in bytes.
    pub(crate) fn refused_beside(&self) -> Option<usize> {
        self.refused_beside
    }

    fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let budget = &self.budget;
        // Read each time, because the limit of a container may change while it runs.
        let limit = budget.limit.bytes();
        let within = |used: usize| used.checked_add(more).filter(|wanted| *wanted <= limit);
        match budget
            .used
            .try_update(Ordering::AcqRel, Ordering::Acquire, within)
        {
            Ok(_) => {
                self.used += more;
                Ok(true)
            }
            Err(used) => {
                let wanted = self.used.saturating_add(more);
                let others = used - self.used;
                self.refused_beside = Some(others);
                let beside = match others {
                    0 => String::new(),
                    _ => format!(" beside {others} of other instances"),
                };
                Err(format_err!(
                    "the component needs {wanted} bytes of memory{beside}, but its limit is {limit} ({})",
                    budget.limit.source()
                ))
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.used, Ordering::AcqRel);
        self.budget.released.notify_waiters();
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An element is a pointer.
        self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(size_of::<usize>()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_one_limit_and_give_back_what_they_had() {
        let budget = Budget::new(MemoryLimit::Fixed(100));
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.grow(60).is_ok() && second.grow(40).is_ok());
        let error = second.grow(1).expect_err("beyond the limit").to_string();
        assert!(
            error.contains("41 bytes")
                && error.contains("beside 60")
                && error.contains("limit is 100"),
            "{error}"
        );
        drop(first);
        assert!(second.grow(60).is_ok() && second.grow(1).is_err());
        assert!(second.grow(usize::MAX).is_err());
    }
}
