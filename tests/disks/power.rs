//! Cutting the power under load, again and again on one volume, and what must hold after each cut.

use crate::disk::{Cache, Failure};
use crate::file_system::{FileSystem, Found};
use crate::options;
use crate::volume::Volume;
use anyhow::{Context, Result, anyhow, ensure};
use fastrand::Rng;
use futures::future::{join, join_all, try_join_all};
use rustix::fs::syncfs;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use visits_tests::history::History;
use visits_tests::judge::Verdict;
use visits_tests::load::visits_bin;
use visits_tests::{Connection, DEADLINE, Host, HostBuilder, environment, get, wait};

/// The clients of each host.
const CLIENTS: usize = 8;

/// The latest moment of a cut after the first answer, in microseconds.
const LATEST: u64 = 60_000;

/// The latest moment of a cut that does not wait for an answer, in microseconds.
const EARLIEST: u64 = 10_000;

/// How long the hosts outlive the disk at most.
const OUTLIVE: Duration = Duration::from_secs(1);

/// A volume whose power is cut again and again.
pub(crate) struct Cuts {
    /// The kind of its file system.
    pub(crate) file_system: FileSystem,
    /// How its disk treats flushes.
    pub(crate) cache: Cache,
    /// How many hosts count on it at the same time.
    pub(crate) hosts: usize,
    /// Whether the system calls that sync are left out after the first cut, so that counting has started.
    pub(crate) without_sync: bool,
}

/// What happened in all cuts of one volume.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    cuts: u64,
    sent: u64,
    acknowledged: u64,
    found: BTreeMap<Found, u64>,
    /// How many files the checks have moved to `lost+found`.
    leftovers: usize,
}

impl Cuts {
    /// Returns a sound disk with one host.
    pub(crate) fn on(file_system: FileSystem) -> Self {
        Self {
            file_system,
            cache: Cache::Writeback,
            hosts: 1,
            without_sync: false,
        }
    }

    /// Cuts the power so many times.
    ///
    /// # Errors
    /// Fails if a promise does not hold after a cut.
    pub(crate) async fn run(&self, times: u64) -> Result<Report> {
        let seed = options::seed()?;
        let mut rng = Rng::with_seed(seed);
        let mut volume = Volume::new(self.file_system, self.cache, Failure::Write).await?;
        let history = History::new();
        let mut found = BTreeMap::new();
        let mut ended = Ok(());
        for cut in 0..times {
            let moment = moment(cut, &mut rng);
            match self.cut(&mut volume, &history, cut, moment).await {
                Ok(one) => *found.entry(one).or_default() += 1,
                Err(error) => {
                    let what = format!("{self}: cut {cut} of seed {seed}, {moment:?}");
                    ended = Err(error.context(what));
                    break;
                }
            }
        }
        self.keep(&history, seed)?;
        judge(&history, ended).await?;
        Ok(Report {
            title: format!("{self}, seed {seed}"),
            cuts: times,
            sent: history.sent(),
            acknowledged: history.answered() as u64,
            found,
            leftovers: entries(&volume.path().join("lost+found")).len(),
        })
    }

    /// Cuts the power once under load, brings the volume in order, and checks the promises.
    async fn cut(
        &self,
        volume: &mut Volume,
        history: &History,
        cut: u64,
        moment: Moment,
    ) -> Result<Found> {
        let hosts = (0..self.hosts).map(|_| self.host(volume, cut).start());
        let hosts = try_join_all(hosts).await?;
        let write_back = moment.written_back.then(|| WriteBack::of(volume));
        let (ended, every_client_ended) = oneshot::channel::<()>();
        let power = async {
            if moment.after_an_answer {
                history.answers(1).await?;
            }
            tokio::time::sleep(moment.patience).await;
            volume.disk().cut_power()?;
            // The hosts outlive the disk until each client is refused. Without a sync none is.
            let _ = timeout(OUTLIVE, every_client_ended).await;
            try_join_all(hosts.iter().map(Host::kill9)).await
        };
        let clients = async {
            let visit = |host: &Host| history.visit_until_the_end(host.address(), CLIENTS);
            join_all(hosts.iter().map(visit)).await;
            drop(ended);
        };
        join(power, clients).await.0?;
        if let Some(write_back) = write_back {
            write_back.stop().await?;
        }
        let found = volume.restore().await?;
        inspect(volume, history)
            .await
            .with_context(|| names(volume))?;
        Ok(found)
    }

    fn host(&self, volume: &Volume, cut: u64) -> HostBuilder {
        let host = Host::of(volume.app());
        match self.without_sync && cut > 0 {
            true => host.shell(&without_sync()),
            false => host,
        }
    }

    /// Writes the history if that is wanted.
    fn keep(&self, history: &History, seed: u64) -> Result<()> {
        let Some(directory) = environment::DISK_HISTORIES.get() else {
            return Ok(());
        };
        let name = format!("{self}, seed {seed}").replace([' ', ','], "-");
        history.write(&PathBuf::from(directory).join(name).with_extension("jsonl"))
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.hosts == 1 { "" } else { "s" };
        write!(f, "{}, {} host{plural}", self.file_system, self.hosts)?;
        match self.cache {
            Cache::Writeback => Ok(()),
            Cache::Sectors => f.write_str(", stored by sector"),
            Cache::Unsafe => f.write_str(", flushes ignored"),
            Cache::SlowTickets => f.write_str(", tickets stored slowly"),
        }?;
        match self.without_sync {
            true => f.write_str(", syncs left out"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |found| self.found.get(&found).copied().unwrap_or(0);
        write!(
            f,
            "{}: {} cuts, {} visits sent, {} acknowledged, 0 lost; file system clean {}, repaired unattended {}, repaired \
             on request {}, and visits.bin removed {}; {} files in lost+found",
            self.title,
            self.cuts,
            self.sent,
            self.acknowledged,
            of(Found::Clean),
            of(Found::Repaired),
            of(Found::RepairedOnRequest),
            of(Found::VisitsBinRemoved),
            self.leftovers
        )
    }
}

/// The moment of a cut.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Whether a visit is answered first.
    after_an_answer: bool,
    /// The time from then on, or from the first request.
    patience: Duration,
    /// Whether the system writes everything back all the time. Otherwise it does so every few seconds, which no cut awaits.
    written_back: bool,
}

/// A thread on which the system writes a volume back again and again.
struct WriteBack {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl WriteBack {
    fn of(volume: &Volume) -> Self {
        let (path, stopped) = (volume.path(), Arc::new(AtomicBool::new(false)));
        let stop = stopped.clone();
        let thread = spawn_blocking(move || {
            // Closed at the end, so that the volume can be unmounted.
            let Ok(directory) = File::open(path) else {
                return;
            };
            while !stop.load(Ordering::SeqCst) && syncfs(&directory).is_ok() {}
        });
        Self { stopped, thread }
    }

    /// Waits until the thread has ended.
    async fn stop(mut self) -> Result<()> {
        self.stopped.store(true, Ordering::SeqCst);
        let ended = (&mut self.thread).await;
        ended.context("the thread that writes back")
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

/// Returns a random moment. A quarter are so early that the first visits after a start are under way, but never the first.
fn moment(cut: u64, rng: &mut Rng) -> Moment {
    let after_an_answer = rng.u8(..4) > 0 || cut == 0;
    let latest = if after_an_answer { LATEST } else { EARLIEST };
    Moment {
        after_an_answer,
        patience: Duration::from_micros(rng.u64(..latest)),
        written_back: rng.bool(),
    }
}

/// Returns a line of shell that runs the host without the system calls that sync. strace reports success for them and does
/// not make them.
fn without_sync() -> String {
    "exec strace -D -f -qq --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync -e signal=none \
     -e inject=fsync,fdatasync:retval=0 \"$0\" \"$@\""
        .into()
}

/// Checks everything that is promised after a failure, on a host that starts on the restored volume, and the history.
///
/// # Errors
/// Fails if a promise does not hold.
pub(crate) async fn check(volume: &Volume, history: &History) -> Result<()> {
    let found = inspect(volume, history).await;
    judge(history, found).await
}

/// Adds porcupine's verdict on the history, if its program is built, to what the checks have found.
async fn judge(history: &History, found: Result<()>) -> Result<()> {
    if environment::LINEARIZABLE.get().is_none() {
        return found;
    }
    match (found, history.verdict().await) {
        (Err(error), Ok(Verdict::Impossible(reason))) => Err(error.context(reason)),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(Verdict::Impossible(reason))) => Err(anyhow!(reason)),
        (Ok(()), verdict) => verdict.map(drop),
    }
}

/// Checks the count, the next visit and `visits.bin`.
async fn inspect(volume: &Volume, history: &History) -> Result<()> {
    let host = Host::of(volume.app()).start().await?;
    let count = get(host.address(), "/visits").await?;
    ensure!(count.status == 200, "{}: {}", count.status, count.text());
    let count = count.text().trim_end().parse()?;
    let counted = history.check_count(count);
    if count > 0 {
        // The request that the host sends itself when it starts may be what mends it.
        let mended = wait::until("visits.bin holds the count", DEADLINE, async || {
            // The cut may have left it empty until then.
            let published = visits_bin(&volume.path()).ok();
            Ok((published == Some(count)).then_some(()))
        });
        mended.await.map_err(|error| {
            let published = std::fs::read(volume.path().join("visits.bin"));
            host.failed(&format!("{error}, {count}, but {published:?}"))
        })?;
    }
    let highest = history.highest();
    let mut connection = Connection::open(host.address()).await?;
    let number = history.client().visit(&mut connection).await?;
    // Only now, because the history of a failure should show that visit.
    counted?;
    ensure!(
        number > highest && number == count + 1,
        "the visit after {count}, of which up to {highest} are acknowledged, got {number}"
    );
    ensure!(
        visits_bin(&volume.path())? == number,
        "visits.bin is not {number}"
    );
    host.kill9().await
}

/// Returns what is left on the volume, for the error of a check.
fn names(volume: &Volume) -> String {
    let directories = ["", ".visits", "lost+found"].map(|name| volume.path().join(name));
    let names: Vec<_> = directories.iter().flat_map(|it| entries(it)).collect();
    format!("the volume holds {names:?}")
}

/// Returns the paths of a directory's entries; none if it is missing.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}
