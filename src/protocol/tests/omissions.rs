//! The protocol's rules, each left out in turn, and the test that notices.
//!
//! Rules that need no entry, because leaving them out changes no outcome:
//! - A starter looks for the ticket again after it has read `visits.bin`. Without that look, the rename onto a directory that
//!   is not empty refuses it.
//! - An empty listing is believed the second time only. Without that, the same rename refuses the start.

use super::seeds::WITHOUT_SHRINKING;
use super::*;
use crate::protocol::rule::{LEFT_OUT, Rule};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Each rule with the test that fails without it, and its name.
macro_rules! caught {
    ($($rule:ident by $file:ident::$test:ident,)*) => {
        const CAUGHT: &[(Rule, &str, fn())] = &[$((
            Rule::$rule,
            concat!(stringify!($file), "::", stringify!($test)),
            $file::$test,
        ),)*];
    };
}

caught! {
    SyncClaim by races::no_acknowledged_visit_is_lost_or_given_twice_over_kills_and_power_cuts,
    StopAfterFailedSync by rules::after_a_failed_sync_nothing_is_acknowledged_although_later_ones_succeed,
    StopBesideFailedSync by mixed::a_failure_that_the_disk_reports_once_stops_the_commit_beside_the_one_that_it_hit,
    Confirm by confirmations::no_visit_is_acknowledged_after_the_journal_was_given_up,
    SyncRoot by races::no_acknowledged_visit_is_lost_or_given_twice_over_kills_and_power_cuts,
    SyncRootAnew by races::a_start_by_an_instance_that_has_counted_survives_a_power_cut,
    SyncPrepared by mixed::a_count_that_was_taken_over_survives_power_cuts_whoever_looks_meanwhile,
    SyncCopy by takeovers::a_power_cut_leaves_the_original_or_its_whole_copy,
    PublishBeforeAnswer by publishing::visits_bin_never_holds_less_than_what_is_acknowledged,
    WriteBeforeClaim by refusals::an_obstacle_that_only_a_write_shows_counts_one_batch_at_most_and_none_after_a_restart,
    Fence by exhaustive::a_late_publisher_that_is_killed_never_leaves_visits_bin_behind,
    Help by exhaustive::a_late_publisher_that_is_killed_never_leaves_visits_bin_behind,
    CheckNext by exhaustive::a_power_cut_leaves_no_incomplete_file_to_publish,
    Forget by publishing::a_write_of_a_cancelled_leader_never_lands_after_that_of_its_successor,
    HandOn by races::a_leader_whose_request_is_cancelled_leaves_nobody_waiting,
    Recognise by exhaustive::a_claim_that_was_made_and_reported_as_lost_is_not_made_again,
    RemoveLower by rules::of_two_names_left_by_a_crash_the_higher_counts_on,
    Mend by rules::what_a_publisher_that_died_left_is_mended_by_any_request,
}

#[test]
fn a_test_notices_each_rule_that_is_left_out() {
    WITHOUT_SHRINKING.set(true);
    let mut unnoticed = Vec::new();
    for (rule, name, test) in CAUGHT {
        LEFT_OUT.set(Some(*rule));
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            unnoticed.push((rule, name));
        }
    }
    LEFT_OUT.set(None);
    assert!(unnoticed.is_empty(), "left out unnoticed: {unnoticed:#?}");
}
