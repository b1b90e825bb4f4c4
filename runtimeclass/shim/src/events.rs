//! What containerd is told without asking: that a task was created, has started, ran out of memory, has ended.

use containerd_shim::Context;
use containerd_shim::event::Event;
use containerd_shim::publisher::RemotePublisher;

/// The way to containerd's events, of one namespace. Its queue outlives a containerd that restarts.
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

    /// Queues an event. That this fails is no reason to fail the task: containerd asks for states by itself too.
    pub(crate) async fn publish(&self, event: impl Event) {
        let topic = event.topic();
        let published = self
            .publisher
            .publish(Context::default(), &topic, &self.namespace, Box::new(event))
            .await;
        if let Err(error) = published {
            log::warn!("the event {topic} is lost: {error}");
        }
    }
}
