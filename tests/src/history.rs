//! Histories: which client sent a visit when, when it was answered, and with which number.
//!
//! Whether a counter is exact can be judged from such a record alone, by a program that knows nothing about the counter. So
//! every run with faults keeps one. A visit that got no answer may have been counted or not, and the record states that it
//! got none.

use crate::{Connection, Reply};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// One visit. Times are nanoseconds since the start of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The client, which sends one request at a time.
    pub client: u64,
    /// The time before the request was sent.
    pub call: u64,
    /// The time after the answer was read; `None` if there was none, or not a whole one.
    pub returned: Option<u64>,
    /// The visit's number; `None` if the visit was refused or got no answer.
    pub number: Option<u64>,
}

/// A recording, which any number of clients may add to at the same time.
#[derive(Debug)]
pub struct History {
    start: Instant,
    operations: Mutex<Vec<Operation>>,
    /// How many of them have a number.
    answered: AtomicUsize,
    /// The answers without a number.
    refusals: Mutex<Vec<String>>,
    clients: AtomicU64,
}

/// A client of a recording. It stands for one connection: a client that got no answer sends nothing more.
#[derive(Debug)]
pub struct Client<'a> {
    history: &'a History,
    id: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Starts a recording.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            operations: Mutex::default(),
            answered: AtomicUsize::new(0),
            refusals: Mutex::default(),
            clients: AtomicU64::new(0),
        }
    }

    /// Returns another client.
    pub fn client(&self) -> Client<'_> {
        Client {
            history: self,
            id: self.clients.fetch_add(1, Ordering::SeqCst),
        }
    }

    /// Returns everything recorded so far, in the order of the calls.
    pub fn operations(&self) -> Vec<Operation> {
        self.locked().clone()
    }

    /// Returns the number of visits sent, with or without an answer.
    pub fn sent(&self) -> u64 {
        self.locked().len() as u64
    }

    /// Returns how many visits were answered without a number.
    pub fn refused(&self) -> usize {
        self.refusals.lock().expect("no holder panics").len()
    }

    /// Checks that no visit was answered without a number.
    ///
    /// # Errors
    /// Fails with the first such answer.
    pub fn check_none_refused(&self) -> Result<()> {
        let refusals = self.refusals.lock().expect("no holder panics");
        match refusals.first() {
            None => Ok(()),
            Some(first) => bail!("{} visits were refused: {first}", refusals.len()),
        }
    }

    /// Returns how many visits got a number so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Returns the numbers acknowledged so far.
    pub fn numbers(&self) -> Vec<u64> {
        self.locked().iter().filter_map(|one| one.number).collect()
    }

    /// Returns the highest number acknowledged so far, or 0.
    pub fn highest(&self) -> u64 {
        self.numbers().into_iter().max().unwrap_or(0)
    }

    /// Checks that no number was given twice, and that `max(acknowledged) <= count <= sent`.
    ///
    /// # Errors
    /// Fails with the figures if that does not hold.
    pub fn check_count(&self, count: u64) -> Result<()> {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        let twice = numbers.windows(2).find(|pair| pair[0] == pair[1]);
        ensure!(twice.is_none(), "a number was given twice: {twice:?}");
        let (acknowledged, sent) = (numbers.len() as u64, self.sent());
        let highest = numbers.last().copied().unwrap_or(0);
        ensure!(
            acknowledged <= count && highest <= count && count <= sent,
            "{acknowledged} acknowledged up to {highest}, count {count}, {sent} sent"
        );
        Ok(())
    }

    /// Writes the recording as lines of JSON: `{"client":0,"call":1500,"return":2300,"number":1}`. `return` and `number` are
    /// `null` where they are `None`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            for one in self.operations() {
                let line = json!({
                    "client": one.client,
                    "call": one.call,
                    "return": one.returned,
                    "number": one.number,
                });
                writeln!(file, "{line}")?;
            }
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    fn called(&self, client: u64) -> usize {
        let mut operations = self.locked();
        operations.push(Operation {
            client,
            call: self.now(),
            returned: None,
            number: None,
        });
        operations.len() - 1
    }

    fn returned(&self, index: usize, number: Option<u64>) {
        let now = self.now();
        let operation = &mut self.locked()[index];
        operation.returned = Some(now);
        operation.number = number;
        if number.is_some() {
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a test runs for less than centuries")
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().expect("no holder panics")
    }
}

impl Client<'_> {
    /// Makes a visit on this connection and returns its number.
    ///
    /// # Errors
    /// Fails if there is no answer, and if the visit is refused.
    pub async fn visit(&self, connection: &mut Connection) -> Result<u64> {
        self.record(connection.get("/")).await
    }

    /// Makes a visit by a request of any kind and returns its number. If the future is dropped, the visit got no answer.
    ///
    /// # Errors
    /// Fails if the request fails, and if the visit is refused.
    pub async fn record(&self, request: impl Future<Output = Result<Reply>>) -> Result<u64> {
        let index = self.history.called(self.id);
        let reply = request.await?;
        let number = number(&reply);
        self.history.returned(index, number.as_ref().ok().copied());
        if let Err(error) = &number {
            let mut refusals = self.history.refusals.lock().expect("no holder panics");
            refusals.push(format!("{error:#}"));
        }
        number
    }
}

/// Returns the number in the answer to a visit.
///
/// # Errors
/// Fails with the answer if it has none.
pub(crate) fn number(reply: &Reply) -> Result<u64> {
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    let text = reply.text().trim_end();
    text.parse()
        .with_context(|| format!("the answer to a visit is no number: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    async fn answer(status: StatusCode, body: &'static str) -> Result<Reply> {
        Ok(Reply {
            status,
            headers: http::HeaderMap::new(),
            body: body.into(),
        })
    }

    async fn of_every_kind() -> Result<History> {
        let history = History::new();
        let client = history.client();
        assert_eq!(client.record(answer(StatusCode::OK, "1\n")).await?, 1);
        let full = answer(StatusCode::SERVICE_UNAVAILABLE, "no space");
        client.record(full).await.expect_err("it was refused");
        let reset = async { anyhow::bail!("connection reset") };
        client.record(reset).await.expect_err("no answer");
        {
            let left = history.client();
            let mut left = std::pin::pin!(left.record(std::future::pending()));
            assert!(futures::poll!(&mut left).is_pending());
        }
        Ok(history)
    }

    #[tokio::test]
    async fn answers_refusals_and_what_got_no_answer_are_told_apart() -> Result<()> {
        let history = of_every_kind().await?;
        let operations = history.operations();
        let kinds: Vec<_> = operations
            .iter()
            .map(|one| (one.client, one.returned.is_some(), one.number))
            .collect();
        let expected = [
            (0, true, Some(1)),
            (0, true, None),
            (0, false, None),
            (1, false, None),
        ];
        assert_eq!(kinds, expected);
        assert!(operations[0].returned <= Some(operations[1].call));
        assert_eq!(history.sent(), 4);
        let refused = history.check_none_refused().expect_err("one was refused");
        assert_eq!(
            refused.to_string(),
            "1 visits were refused: 503 Service Unavailable: no space"
        );
        assert_eq!(history.answered(), history.numbers().len());
        Ok(())
    }

    #[tokio::test]
    async fn the_file_has_a_line_of_json_for_each_visit() -> Result<()> {
        let history = of_every_kind().await?;
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("history.jsonl");
        history.write(&path)?;
        let text = std::fs::read_to_string(path)?;
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        assert_eq!(lines.len(), 4);
        let first = history.operations()[0];
        let expected =
            json!({"client": 0, "call": first.call, "return": first.returned, "number": 1});
        assert_eq!(lines[0], expected);
        assert_eq!(
            (&lines[3]["return"], &lines[3]["number"]),
            (&json!(null), &json!(null))
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_count_outside_of_its_bounds_and_a_number_given_twice_are_found() -> Result<()> {
        let history = of_every_kind().await?;
        assert!(history.check_count(0).is_err());
        for count in 1..=4 {
            history.check_count(count)?;
        }
        assert!(history.check_count(5).is_err());
        history.client().record(answer(StatusCode::OK, "1")).await?;
        assert!(history.check_count(2).is_err());
        Ok(())
    }
}
