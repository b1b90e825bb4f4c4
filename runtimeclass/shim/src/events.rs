//! Messages to containerd that no call requested: a task was created, started, ran out of memory, ended.

use crate::process::Exit;
use containerd_shim::Context;
use containerd_shim::event::Event;
use containerd_shim::protos::events::task::TaskExit;
use containerd_shim::publisher::RemotePublisher;

/// A queue of events to containerd in one namespace. It outlives a containerd that restarts.
pub(crate) struct Events {
    namespace: String,
    publisher: RemotePublisher,
}

impl Events {
    pub(crate) fn new(namespace: &str, publisher: RemotePublisher) -> Self {
        Self {
            namespace: namespace.to_owned(),
            publisher,
        }
    }

    /// Queues an event. Only logs a failure, because containerd also polls the states of tasks.
    pub(crate) async fn publish(&self, event: impl Event) {
        let topic = event.topic();
        let published = self
            .publisher
            .publish(Context::default(), &topic, &self.namespace, Box::new(event))
            .await;
        if let Err(error) = published {
            let error = error.to_string();
            log::warn!("event lost topic={topic} error={error:?}");
        }
    }

    /// Queues the event that the process `id` of a container has ended. The container's first process has its id.
    pub(crate) async fn publish_exit(&self, container: &str, id: &str, pid: i32, exit: Exit) {
        self.publish(TaskExit {
            container_id: container.to_owned(),
            id: id.to_owned(),
            pid: pid as u32,
            exit_status: exit.code,
            exited_at: Some(exit.at).into(),
            ..Default::default()
        })
        .await;
    }
}
