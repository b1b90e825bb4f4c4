//! What the handles of a counter share with its leader.

use super::claim::Claims;
use super::observer::Observer;
use super::platform::Platform;
use super::publish::Publisher;
use super::queue::Queue;
use super::stall::Stall;
use super::volume::Volume;
use std::rc::Rc;

/// The state of one instance's counter.
pub(super) struct Inner<P: Platform> {
    pub(super) platform: Rc<P>,
    pub(super) observer: Rc<dyn Observer>,
    pub(super) volume: Rc<Volume<P>>,
    pub(super) publisher: Rc<Publisher<P>>,
    pub(super) claims: Claims<P>,
    pub(super) queue: Queue<P::Opener>,
    pub(super) stall: Stall,
}

impl<P: Platform> Inner<P> {
    /// Returns a counter's state before its first look at the volume.
    pub(super) fn new(platform: Rc<P>, observer: Rc<dyn Observer>) -> Self {
        let volume = Rc::new(Volume::new(platform.clone(), observer.clone()));
        let publisher = Rc::new(Publisher::new(volume.clone()));
        Inner {
            claims: Claims::new(volume.clone(), publisher.clone(), observer.clone()),
            platform,
            observer,
            volume,
            publisher,
            queue: Queue::default(),
            stall: Stall::default(),
        }
    }
}
