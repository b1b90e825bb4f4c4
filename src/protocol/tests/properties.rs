//! What must hold at every state of a schedule, and at its end.

use super::bounds::{Before, ORIGINAL};
use super::requests::Answer;
use super::schedule::Schedule;
use super::*;
use crate::protocol::simulated::choices::{Choices, Script};

impl Schedule<'_> {
    /// Checks what must hold after every move:
    /// 1. No number is given twice.
    /// 2. A number is higher than all that were acknowledged when its visitor arrived. What is read is no less.
    /// 3. What is acknowledged is durable, and the count is no more than what was sent.
    /// 4. `visits.bin` holds no less than what was acknowledged since the last power cut.
    /// 5. `visits.bin` holds no more than the count, never goes back, and never becomes something that is no count. A power cut
    ///    may leave something else there, until it is written again.
    /// 6. Without a fault, no request is refused.
    /// 7. What another program has written is there, or its copy is.
    pub(super) fn check(&mut self) {
        let answers: Vec<_> = self
            .subjects
            .iter()
            .flat_map(|it| it.answers.take())
            .collect();
        let limit = self.base + self.sent;
        for (highest, outcome) in answers {
            match outcome {
                Ok(Answer::Ready) => self.print(|| "  ready".into()),
                Ok(Answer::Read(number)) => {
                    self.print(|| format!("  read: {number}"));
                    self.require((highest..=limit).contains(&number), || {
                        format!(
                            "{number} was read after {highest} was acknowledged and {limit} sent"
                        )
                    });
                }
                Ok(Answer::Counted(number)) => {
                    self.print(|| format!("  acknowledged: {number}"));
                    let new = self.acknowledged.insert(number);
                    self.require(new, || format!("{number} was given twice"));
                    self.floor = self.floor.max(number);
                    let durable = self.durable();
                    self.require(number > highest, || {
                        format!("{number} was given to a visitor who arrived after {highest} was acknowledged")
                    });
                    self.require(number <= durable, || {
                        format!("{number} was acknowledged, and {durable} is durable")
                    });
                }
                Err(error) => {
                    let sound = self.left.sound;
                    self.print(|| format!("  refused: {error}"));
                    self.require(!sound, || format!("refused without a fault: {error}"));
                }
            }
        }
        let count = self.count();
        self.require(count <= limit, || {
            format!("the count is {count}, and {limit} were sent")
        });
        self.check_published();
        let (last, now) = (self.published, self.published());
        // A power cut may have kept the number and lost the claim.
        self.require(now >= last.min(Some(count)), || {
            format!("visits.bin held {last:?}, and holds {now:?} now")
        });
        let whole = !self.left.cut;
        self.require(!whole || now <= Some(count), || {
            format!("visits.bin holds {now:?}, and the count is {count}")
        });
        self.published = now;
        let kept = self.original_is_kept();
        self.require(kept, || "the original and its copy are gone".into());
    }

    /// Returns whether what another program has written is still somewhere.
    fn original_is_kept(&self) -> bool {
        let copy = format!("{}.taken-over-{}", record::FILE, ORIGINAL[0]);
        let mut names = [record::FILE, &copy].into_iter();
        self.bounds.before != Before::Original
            || names.any(|name| content(&self.world, name).is_some_and(|it| it == ORIGINAL))
    }

    fn check_published(&mut self) {
        // After a power cut it may be empty until the next request.
        if let Some(published) = self.published() {
            let floor = self.floor;
            self.require(published >= floor, || {
                format!("visits.bin holds {published}, and {floor} was acknowledged")
            });
        }
    }

    /// Checks what must hold when nothing can move any more:
    /// 1. Nobody waits.
    /// 2. Without a fault, `visits.bin` equals the count.
    /// 3. A new process finds a count from what was acknowledged to what was sent, mends `visits.bin`, and counts on. If the
    ///    journal was given up, it does so after a power cut.
    pub(super) fn end(&mut self) {
        let waiting = self
            .subjects
            .iter()
            .any(|it| Rc::strong_count(&it.answers) > 1);
        self.require(!waiting, || "a visitor waits for ever".into());
        self.check_published();
        if self.world.with(|state| state.disk.aborted) {
            self.cut_power();
        }
        let (count, published) = (self.count(), self.published());
        if self.left.faults == self.bounds.faults && self.left.lies == self.bounds.lies {
            self.require(published == Some(count), || {
                format!("visits.bin holds {published:?} at rest, and the count is {count}")
            });
        }
        // The end runs in one order.
        let once = Choices::Scripted(Script::default());
        let choices = self
            .world
            .with(|state| std::mem::replace(&mut state.choices, once));
        let mut process = Process::start(&self.world);
        let current = process.current(&self.world);
        let highest = self.acknowledged.last().copied().unwrap_or(0);
        let limit = self.base + self.sent;
        let sound = current
            .as_ref()
            .is_ok_and(|it| (highest..=limit).contains(it));
        self.require(sound, || {
            format!(
                "a new process finds {current:?}, {highest} was acknowledged, {limit} were sent"
            )
        });
        let published = self.published();
        let mended = published == current.as_ref().ok().copied();
        self.require(mended || !started(&self.world), || {
            format!("visits.bin holds {published:?} after it was mended to {current:?}")
        });
        process.visitors(1);
        let next = process.finish(&self.world);
        self.require(
            next.first().copied() == current.as_ref().ok().map(|it| it + 1),
            || format!("after {current:?} a visitor gets {next:?}"),
        );
        self.world.with(|state| state.choices = choices);
        for subject in &mut self.subjects {
            subject.process.pool = LocalPool::new();
        }
    }

    fn require(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds && self.violated.is_none() {
            self.violated = Some(violation());
        }
    }

    /// Returns the count now: that of the private directory, or the one before it appeared.
    fn count(&self) -> u64 {
        let highest = self.world.with(|state| {
            let private = state.disk.open_dir(ROOT, ".visits").ok()?;
            highest(state.disk.names(private).iter().map(String::as_str))
        });
        highest.unwrap_or(self.base)
    }

    /// Returns the count that is sure to survive a power cut.
    pub(super) fn durable(&self) -> u64 {
        let highest = self.world.with(|state| {
            let private = state.disk.durable_entry(ROOT, ".visits")?;
            highest(state.disk.durable_names(private))
        });
        highest.unwrap_or(self.base)
    }

    /// Returns what `visits.bin` holds; `None` if a power cut has left something that is no count of 8 bytes.
    fn published(&self) -> Option<u64> {
        let bytes = self
            .world
            .with(|state| state.disk.read(ROOT, record::FILE, 64));
        let bytes: [u8; 8] = bytes.ok()?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

fn highest<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<u64> {
    let numbers = names.into_iter().filter_map(|name| {
        let rest = name.strip_prefix("ticket.")?;
        rest.split('-').next()?.parse().ok()
    });
    numbers.max()
}
