//! Waiting, time, chance, tasks and the log on WASI 0.3.

use super::directory::WasiDirectory;
use crate::protocol::platform::{Platform, ROOT};
use std::cell::RefCell;
use std::pin::Pin;
use std::time::Duration;
use wasi::clocks::monotonic_clock;
use wasi::filesystem::preopens;
use wasi::random::random;
use wasi::wit_bindgen::{StreamReader, StreamWriter};
use wasi::{spawn, wit_stream};

/// The shortest time between two equal log lines, because a failing volume fails thousands of times a second.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The world of one instance.
#[derive(Default)]
pub struct Wasi {
    logged: RefCell<Option<(String, Duration)>>,
}

impl Platform for Wasi {
    type Dir = WasiDirectory;
    /// The writer of a stream whose end wakes the component task that reads it. Rust's wakers work within one task only;
    /// wit-bindgen's `inter-task-wakeup` would lift that, and traps in wit-bindgen 0.57.
    type Opener = StreamWriter<u8>;
    type Gate = Pin<Box<dyn Future<Output = ()>>>;

    fn root(&self) -> Result<WasiDirectory, String> {
        let mut names = Vec::new();
        for (descriptor, name) in preopens::get_directories() {
            if name == ROOT {
                return Ok(WasiDirectory::new(descriptor));
            }
            names.push(name);
        }
        Err(format!(
            "no directory is preopened at {ROOT}, but {names:?}: `spin up` needs --direct-mounts \
             --allow-transient-write, and spin.toml a `files` entry with that destination"
        ))
    }

    fn gate(&self) -> (StreamWriter<u8>, Self::Gate) {
        let (opener, mut end): (_, StreamReader<u8>) = wit_stream::new();
        let gate = Box::pin(async move {
            end.next().await;
        });
        (opener, gate)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn(task);
    }

    async fn pause(&self, duration: Duration) {
        monotonic_clock::wait_for(nanoseconds(duration)).await;
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    fn random(&self) -> u64 {
        random::get_random_u64()
    }

    fn log(&self, line: &str) {
        let now = self.now();
        let mut logged = self.logged.borrow_mut();
        if let Some((last, at)) = &*logged
            && last == line
            && now.saturating_sub(*at) < LOG_INTERVAL
        {
            return;
        }
        eprintln!("{line}");
        *logged = Some((line.into(), now));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
