//! Every schedule within stated bounds: see [`super::explore`].
//!
//! `VISITS_BOUNDS` runs one search with other bounds, such as `instances=3,visits=2,faults=2,kill,cut`. With
//! `VISITS_SCHEDULE`, which a violation prints, it runs one schedule of that search.

use super::explore::{Bounds, Kinds, Report, explore, replay};
use std::time::Instant;

const SMALL: Bounds = Bounds {
    instances: 2,
    visits: 1,
    faults: 0,
    kinds: Kinds {
        kill: false,
        cut: false,
        fail: false,
        unheard: false,
        abort: false,
    },
    lies: 0,
    hasty: 0,
    preemptions: usize::MAX,
    apart: false,
    warm: true,
    plain: false,
};

const KILL: Kinds = Kinds {
    kill: true,
    ..SMALL.kinds
};

const ANY: Kinds = Kinds {
    kill: true,
    cut: true,
    fail: true,
    unheard: true,
    abort: false,
};

/// Explores, and prints what was explored.
#[track_caller]
fn holds(bounds: Bounds) -> Report {
    let start = Instant::now();
    match explore(&bounds) {
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
        for warm in [false, true] {
            let reduced = Bounds {
                instances,
                visits,
                faults: 1,
                kinds,
                warm,
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

#[test]
pub(super) fn the_search_of_the_environment() {
    let Ok(text) = std::env::var("VISITS_BOUNDS") else {
        return;
    };
    let bounds = parse(&text).unwrap_or_else(|error| panic!("malformed VISITS_BOUNDS: {error}"));
    let Ok(schedule) = std::env::var("VISITS_SCHEDULE") else {
        holds(bounds);
        return;
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
            "unheard" => bounds.kinds.unheard = number > 0,
            "fail" => bounds.kinds.fail = number > 0,
            "apart" => bounds.apart = number > 0,
            "warm" => bounds.warm = number > 0,
            "plain" => bounds.plain = number > 0,
            _ => return Err(format!("{name:?} is unknown")),
        }
    }
    Ok(bounds)
}
