//! Every schedule within stated bounds: see [`super::explore`].
//!
//! `VISITS_BOUNDS` runs one search with other bounds, such as `instances=3,visits=2,faults=2,kill,cut`. With
//! `VISITS_SCHEDULE`, which a violation prints, it runs one schedule of that search.

use super::explore::{Bounds, Kinds, explore, replay};
use std::time::Instant;

const SMALL: Bounds = Bounds {
    instances: 2,
    visits: 1,
    faults: 0,
    kinds: Kinds {
        kill: false,
        cut: false,
        fail: false,
        abort: false,
    },
    lies: 0,
    hasty: 0,
    preemptions: usize::MAX,
    apart: false,
    warm: true,
};

const KILL: Kinds = Kinds {
    kill: true,
    ..SMALL.kinds
};

const ANY: Kinds = Kinds {
    kill: true,
    cut: true,
    fail: true,
    abort: false,
};

/// Explores, and prints what was explored.
fn explored(bounds: Bounds) -> Result<(), String> {
    let start = Instant::now();
    let report = explore(&bounds)?;
    println!("{bounds:?}: {report:?} in {:?}", start.elapsed());
    Ok(())
}

#[track_caller]
fn holds(bounds: Bounds) {
    if let Err(violation) = explored(bounds) {
        panic!("{bounds:?}: {violation}");
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
    for warm in [false, true] {
        holds(Bounds {
            instances: 1,
            visits: 2,
            lies: 2,
            warm,
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
        warm: false,
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
}

#[test]
pub(super) fn two_instances_survive_a_kill_a_power_cut_or_a_failed_call() {
    holds(Bounds {
        faults: 1,
        kinds: ANY,
        hasty: 1,
        preemptions: 2,
        ..SMALL
    });
}

#[test]
pub(super) fn two_instances_survive_two_faults() {
    holds(Bounds {
        faults: 2,
        kinds: ANY,
        preemptions: 0,
        ..SMALL
    });
}

#[test]
pub(super) fn three_instances_count_a_visit_each() {
    holds(Bounds {
        instances: 3,
        preemptions: 2,
        ..SMALL
    });
}

#[test]
pub(super) fn three_instances_survive_two_kills() {
    holds(Bounds {
        instances: 3,
        faults: 2,
        kinds: KILL,
        preemptions: 1,
        ..SMALL
    });
}

#[test]
pub(super) fn the_search_of_the_environment() {
    let Ok(text) = std::env::var("VISITS_BOUNDS") else {
        return;
    };
    let bounds = parse(&text).unwrap_or_else(|error| panic!("malformed VISITS_BOUNDS: {error}"));
    let Ok(schedule) = std::env::var("VISITS_SCHEDULE") else {
        return holds(bounds);
    };
    let picks = schedule.split(',').filter(|it| !it.is_empty());
    let picks: Vec<u64> = picks.map(|it| it.parse().expect("numbers")).collect();
    assert_eq!(replay(&bounds, &picks), None);
}

/// Reads bounds such as `instances=3,visits=2,faults=2,kill,cut`.
fn parse(text: &str) -> Result<Bounds, String> {
    let mut bounds = SMALL;
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, "1"));
        let number = value
            .parse()
            .map_err(|_| format!("{part:?} is not name=number"))?;
        match name {
            "instances" => bounds.instances = number,
            "visits" => bounds.visits = number,
            "faults" => bounds.faults = number,
            "lies" => bounds.lies = number,
            "preemptions" => bounds.preemptions = number,
            "hasty" => bounds.hasty = number,
            "kill" => bounds.kinds.kill = number > 0,
            "cut" => bounds.kinds.cut = number > 0,
            "abort" => bounds.kinds.abort = number > 0,
            "fail" => bounds.kinds.fail = number > 0,
            "apart" => bounds.apart = number > 0,
            "warm" => bounds.warm = number > 0,
            _ => return Err(format!("{name:?} is unknown")),
        }
    }
    Ok(bounds)
}
