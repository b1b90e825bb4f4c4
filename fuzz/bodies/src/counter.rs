//! Assertions about the counter: its start in any directory, and content negotiation.

use crate::platform::Native;
use crate::tree::Tree;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use visits::accept::Form;
use visits::protocol::Counter;
use visits::protocol::observer::Observer;
use visits::protocol::platform::Platform;
use visits::protocol::record;

/// Finds the form that an `Accept` header prefers. Returns whether it is not the default.
///
/// The form does not depend on the case of letters, on empty ranges, or on ranges that are given twice. Plain text that is
/// wanted most wins every tie.
pub fn accept(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let form = Form::preferred(text);
    for same in [
        text.to_ascii_uppercase(),
        format!(" ,{text}, ;q=1"),
        format!("{text},{text}"),
    ] {
        assert_eq!(Form::preferred(&same), form, "{same:?}");
    }
    let wanted_most = format!("{text},text/plain");
    assert_eq!(Form::preferred(&wanted_most), Form::Text, "{wanted_most:?}");
    form != Form::Text
}

/// Starts the counter in a directory (see `Tree`), and makes visits on two instances. Returns whether the directory held a
/// count in a ticket.
///
/// If the directory holds a count, the counter reads that count and each visit gets the next number or one line with the
/// reason. If it holds none, every request gets such a line. The count in the directory never gets lower, and files of
/// others stay as they are.
pub fn volume(data: &[u8]) -> bool {
    let tree = Tree::new(data);
    let (count, others) = (tree.count(), tree.others());
    let in_ticket = tree.ticket().is_some();
    let answers = visit(tree.path());
    assert_eq!(answers.current.as_ref().ok(), count.as_ref(), "{answers:?}");
    let mut last = count;
    for visit in &answers.visits {
        match visit {
            Ok(number) => {
                let next = last.and_then(|last| last.checked_add(1));
                assert_eq!(Some(*number), next, "{answers:?}");
                last = next;
            }
            Err(line) => assert!(!line.contains('\n'), "{line:?}"),
        }
    }
    assert_eq!(tree.count(), last, "the count on the volume: {answers:?}");
    assert_eq!(tree.others(), others, "files of others: {answers:?}");
    if answers.visits.last().is_some_and(Result::is_ok) {
        let expected = last.map(|last| record::encode(last).to_vec());
        assert_eq!(tree.record(), expected, "{answers:?}");
    }
    in_ticket
}

/// What the requests got.
#[derive(Debug)]
struct Answers {
    current: Result<u64, String>,
    visits: Vec<Result<u64, String>>,
}

/// Reads the count, checks readiness and makes two visits, then one more on an instance that starts afterwards.
fn visit(directory: &Path) -> Answers {
    thread_local! {
        // The clock advances only while everything waits, so limits pass at once.
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
    }
    let instance = || Counter::new(Rc::new(Quiet::new(directory)), Rc::new(Unobserved));
    let requests = async {
        let first = instance();
        let current = first.current().await.map_err(|error| error.to_string());
        if let Err(error) = first.probe().await {
            let line = error.to_string();
            assert!(!line.contains('\n'), "{line:?}");
        }
        let mut visits = Vec::new();
        for counter in [&first, &first, &instance()] {
            visits.push(counter.visit().await.map_err(|error| error.to_string()));
        }
        Answers { current, visits }
    };
    RUNTIME.with(|runtime| LocalSet::new().block_on(runtime, requests))
}

/// A native counter's world without chance, whose log is only checked.
struct Quiet {
    native: Native,
    numbers: Cell<u64>,
}

impl Quiet {
    fn new(directory: &Path) -> Self {
        Quiet {
            native: Native::new(directory),
            numbers: Cell::new(0),
        }
    }
}

impl Platform for Quiet {
    type Dir = <Native as Platform>::Dir;
    type Opener = <Native as Platform>::Opener;
    type Gate = <Native as Platform>::Gate;

    fn root(&self) -> Result<Self::Dir, String> {
        self.native.root()
    }

    fn gate(&self) -> (Self::Opener, Self::Gate) {
        self.native.gate()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.native.spawn(task);
    }

    async fn pause(&self, duration: Duration) {
        self.native.pause(duration).await;
    }

    fn now(&self) -> Duration {
        self.native.now()
    }

    fn random(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        // Spread over all numbers: pauses of a microsecond each would make every limit take thousands of them.
        self.numbers.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn log(&self, line: &str) {
        assert!(!line.contains('\n'), "{line:?}");
    }
}

/// Measures nothing.
struct Unobserved;

impl Observer for Unobserved {
    fn committed(&self, _: u64) {}

    fn failed(&self, _: u64) {}

    fn synced(&self, _: Duration) {}

    fn lost_claim(&self) {}
}
