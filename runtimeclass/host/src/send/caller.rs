//! Finds the request that a component handles while it calls the host.
//!
//! wasmtime reports which task group runs: the tasks that one call of the component has started. The hook is set only
//! for components that may send requests, because only outbound requests need it.

use crate::watch::Progress;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::Result;
use wasmtime::component::{TaskGroupHook, TaskGroupId};

/// The requests that one instance holds, and the one whose tasks run now.
#[derive(Clone, Default)]
pub(crate) struct Caller(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    /// The request of the next call.
    next: Option<Arc<Progress>>,
    groups: HashMap<TaskGroupId, Arc<Progress>>,
    current: Option<TaskGroupId>,
}

impl Caller {
    /// Notes the request of the next call.
    pub(crate) fn next(&self, request: &Arc<Progress>) {
        self.tasks().next = Some(request.clone());
    }

    /// Returns the request whose tasks run now, if it is known.
    pub(super) fn request(&self) -> Option<Arc<Progress>> {
        let tasks = self.tasks();
        tasks.groups.get(&tasks.current?).cloned()
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskGroupHook for Caller {
    fn handle_start(&mut self, id: TaskGroupId) -> Result<()> {
        let mut tasks = self.tasks();
        if let Some(request) = tasks.next.take() {
            tasks.groups.insert(id, request);
        }
        Ok(())
    }

    fn handle_enter(&mut self, id: TaskGroupId) -> Result<()> {
        self.tasks().current = Some(id);
        Ok(())
    }

    fn handle_exit(&mut self, _: TaskGroupId) -> Result<()> {
        self.tasks().current = None;
        Ok(())
    }

    fn handle_finish(&mut self, id: TaskGroupId) -> Result<()> {
        self.tasks().groups.remove(&id);
        Ok(())
    }
}
