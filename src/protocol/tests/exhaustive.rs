//! Every schedule within stated bounds: see [`super::explore`].
//!
//! `VISITS_BOUNDS` runs one search with other bounds, such as `instances=3,visits=2,faults=2,kill,cut`. With
//! `VISITS_SCHEDULE`, which a violation prints, it runs one schedule of that search.

use super::bounds::{ANY, Before, Bounds, KILL, Kinds, SMALL, parse};
use super::explore::{Report, explore, replay};
use std::thread;
use std::time::Instant;

/// Explores, and prints what was explored.
#[track_caller]
fn holds(bounds: Bounds) -> Report {
    holds_beside(bounds, 0)
}

/// The same on this thread and `others` more.
#[track_caller]
fn holds_beside(bounds: Bounds, others: usize) -> Report {
    let start = Instant::now();
    match explore(&bounds, others) {
        Ok(report) => {
            println!("{bounds:?}: {report}, in {:?}", start.elapsed());
            report
        }
        Err(violation) => panic!("{bounds:?}: {violation}"),
    }
}

/// A publisher that is late overwrites a newer number with its own, and is killed before it looks again.
#[test]
pub(super) fn a_late_publisher_that_is_killed_never_leaves_visits_bin_behind() {
    let killed = Bounds {
        faults: 1,
        kinds: KILL,
        ..SMALL
    };
    holds(killed);
}

/// A rename over NFS that was sent twice: it was done, and reports that there was nothing to rename.
#[test]
pub(super) fn a_claim_that_was_made_and_reported_as_lost_is_not_made_again() {
    for before in [Before::Elsewhere, Before::Counted] {
        holds(Bounds {
            instances: 1,
            visits: 2,
            lies: 2,
            before,
            ..SMALL
        });
    }
}

#[test]
pub(super) fn a_power_cut_leaves_no_incomplete_file_to_publish() {
    holds(Bounds {
        instances: 1,
        visits: 2,
        faults: 1,
        kinds: Kinds {
            cut: true,
            ..SMALL.kinds
        },
        before: Before::Elsewhere,
        ..SMALL
    });
}

/// A power cut may keep what was published and lose the claim. The next visitor gets the same number, or the file is mended.
#[test]
fn visits_bin_goes_back_after_power_cuts_only_and_only_to_the_count() {
    holds(Bounds {
        visits: 2,
        faults: 2,
        kinds: Kinds {
            cut: true,
            ..SMALL.kinds
        },
        preemptions: 0,
        apart: true,
        ..SMALL
    });
}

#[test]
pub(super) fn what_is_acknowledged_survives_a_journal_that_is_given_up() {
    holds(Bounds {
        faults: 1,
        kinds: Kinds {
            abort: true,
            ..SMALL.kinds
        },
        preemptions: 1,
        ..SMALL
    });
}

#[test]
pub(super) fn two_instances_count_two_visits_each() {
    holds(Bounds {
        visits: 2,
        preemptions: 2,
        ..SMALL
    });
    holds(Bounds {
        visits: 2,
        apart: true,
        ..SMALL
    });
}

#[test]
pub(super) fn two_instances_survive_a_kill_a_power_cut_or_a_failed_call() {
    let any = Bounds {
        faults: 1,
        kinds: ANY,
        ..SMALL
    };
    holds(any);
    holds(Bounds {
        hasty: 1,
        preemptions: 2,
        ..any
    });
}

/// The search ends in the same ways if it does more than it needs to.
#[test]
fn reductions_lose_no_end() {
    for (instances, visits, kinds, preemptions) in [
        (1, 2, ANY, 1),
        (2, 1, ANY, 1),
        (2, 2, KILL, 0),
        (3, 1, KILL, 0),
    ] {
        for before in Before::ALL {
            let reduced = Bounds {
                instances,
                visits,
                faults: 1,
                kinds,
                before,
                preemptions,
                apart: true,
                ..SMALL
            };
            let plain = Bounds {
                plain: true,
                ..reduced
            };
            assert_eq!(holds(reduced).ends, holds(plain).ends);
        }
    }
}

#[test]
fn threads_that_share_a_search_do_the_same_as_one() {
    let bounds = Bounds {
        faults: 1,
        kinds: ANY,
        preemptions: 1,
        ..SMALL
    };
    let [alone, shared] = [0, 2].map(|others| {
        let report = holds_beside(bounds, others);
        (report.schedules, report.states, report.ends)
    });
    assert_eq!(alone, shared);
}

#[test]
pub(super) fn two_instances_survive_two_faults() {
    holds(Bounds {
        faults: 2,
        kinds: ANY,
        preemptions: 1,
        ..SMALL
    });
}

#[test]
pub(super) fn three_instances_count_a_visit_each() {
    holds(Bounds {
        instances: 3,
        preemptions: 3,
        ..SMALL
    });
}

#[test]
pub(super) fn three_instances_survive_two_faults() {
    let three = Bounds {
        instances: 3,
        faults: 2,
        ..SMALL
    };
    holds(Bounds {
        kinds: ANY,
        preemptions: 0,
        ..three
    });
    holds(Bounds {
        kinds: KILL,
        preemptions: 1,
        ..three
    });
}

#[test]
pub(super) fn three_instances_with_two_visits_each_survive_a_fault() {
    holds(Bounds {
        instances: 3,
        visits: 2,
        faults: 1,
        kinds: ANY,
        preemptions: 0,
        apart: true,
        ..SMALL
    });
}

/// Reading the count and a health check write: they mend `visits.bin`, and remove what starters have left.
#[test]
fn requests_that_do_not_count_survive_a_fault() {
    for (reads, probes) in [(1, 0), (0, 1)] {
        let beside = Bounds {
            reads,
            probes,
            faults: 1,
            kinds: ANY,
            preemptions: 1,
            apart: true,
            ..SMALL
        };
        holds(beside);
        for before in [Before::Nothing, Before::Original] {
            holds(Bounds {
                before,
                preemptions: 0,
                ..beside
            });
        }
    }
}

/// The first visits on a volume, and those that take over a file: one of the starters wins.
#[test]
pub(super) fn starters_survive_faults() {
    for before in [Before::Nothing, Before::Original] {
        let started = Bounds {
            before,
            faults: 1,
            kinds: ANY,
            preemptions: 1,
            ..SMALL
        };
        holds(started);
        holds(Bounds {
            instances: 3,
            faults: 2,
            preemptions: 0,
            ..started
        });
    }
}

#[test]
pub(super) fn the_search_of_the_environment() {
    let Ok(text) = std::env::var("VISITS_BOUNDS") else {
        return;
    };
    let bounds = parse(&text).unwrap_or_else(|error| panic!("malformed VISITS_BOUNDS: {error}"));
    let Ok(schedule) = std::env::var("VISITS_SCHEDULE") else {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        holds_beside(bounds, threads - 1);
        return;
    };
    let picks = schedule.split(',').filter(|it| !it.is_empty());
    let picks: Vec<u64> = picks.map(|it| it.parse().expect("numbers")).collect();
    assert_eq!(replay(&bounds, &picks), None);
}
