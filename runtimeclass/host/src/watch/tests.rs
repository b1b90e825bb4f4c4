//! Which requests are overdue, and when that ends an instance.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);
const DEAD: Verdict = Verdict::Ends(Cause::Overdue);

fn watch() -> (Arc<Watch>, Arc<Life>) {
    let life = Arc::new(Life::new(Duration::ZERO));
    (Arc::new(Watch::new(LIMIT)), life)
}

/// Returns a time by which every request is overdue that is not excused.
fn later() -> Instant {
    Instant::now() + LIMIT + Duration::from_secs(5)
}

#[test]
fn an_instance_that_stands_still_dies_after_the_limit_if_anybody_waits() {
    let (watch, life) = watch();
    assert_eq!(
        watch.judge(&life, later()),
        Verdict::Lives,
        "no request waits"
    );
    assert_eq!(watch.limit(), LIMIT);
    let watched = watch.register();
    assert_eq!(watch.judge(&life, Instant::now()), Verdict::Lives);
    assert_eq!(watch.judge(&life, later()), DEAD);
    drop(watched);
    assert_eq!(watch.judge(&life, later()), Verdict::Lives, "answered");
}

#[test]
fn a_successor_is_not_blamed_for_what_waited_before_it_was_born() {
    let watch = Arc::new(Watch::new(LIMIT));
    let _ticket = watch.register();
    let life = Arc::new(Life::new(Duration::ZERO));
    assert_eq!(watch.judge(&life, life.moved() + LIMIT), Verdict::Lives);
    let beyond = life.moved() + LIMIT + Duration::from_millis(1);
    assert_eq!(watch.judge(&life, beyond), DEAD);
}

#[test]
fn a_patient_instance_may_stand_still_for_longer() {
    let watch = Arc::new(Watch::new(LIMIT));
    let _watched = watch.register();
    let life = Arc::new(Life::new(GRACE));
    assert_eq!(
        watch.judge(&life, life.moved() + LIMIT + GRACE),
        Verdict::Lives
    );
    let beyond = life.moved() + LIMIT + GRACE + Duration::from_millis(1);
    assert_eq!(watch.judge(&life, beyond), DEAD);
}

#[test]
fn time_spent_waiting_for_the_client_does_not_count() {
    let (watch, life) = watch();
    let watched = watch.register();
    watched.progress().taken_by(&life);
    watched.progress().excuse_until(later());
    assert_eq!(watch.judge(&life, later()), Verdict::Lives);
    assert_eq!(watch.judge(&life, later() + LIMIT + LIMIT), DEAD);
}

/// Returns two requests of an instance whose event loop runs. One is overdue after `limit`, and so at [`later`].
fn overdue_and_innocent(limit: Duration) -> (Arc<Watch>, Arc<Life>, Watched, Watched) {
    let life = Arc::new(Life::new(Duration::ZERO));
    let watch = Arc::new(Watch::new(limit));
    let (overdue, innocent) = (watch.register(), watch.register());
    overdue.progress().taken_by(&life);
    innocent.progress().taken_by(&life);
    innocent.progress().excuse_until(later());
    life.moved_at(later());
    (watch, life, overdue, innocent)
}

#[test]
fn an_instance_that_answers_others_lives_on_with_an_overdue_request() {
    let (watch, life, overdue, innocent) = overdue_and_innocent(LIMIT);
    life.answers_at(Instant::now() + LIMIT);
    assert_eq!(watch.overdue(&life, later()), 1);
    assert_eq!(watch.judge(&life, later()), Verdict::Lives);
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), Verdict::Lives);
    drop(overdue);
    assert_eq!(watch.overdue(&life, later()), 0);
}

#[test]
fn an_instance_that_answers_nobody_retires_and_ends_after_its_innocent_requests() {
    let (watch, life, _overdue, innocent) = overdue_and_innocent(LIMIT);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    life.retire();
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn a_response_before_the_second_half_of_an_overdue_requests_time_does_not_count() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent(LIMIT);
    life.answers_at(Instant::now() + LIMIT / 3);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
}

#[test]
fn a_response_does_not_end_the_retirement_of_an_instance() {
    let (watch, life, _overdue, innocent) = overdue_and_innocent(LIMIT);
    life.retire();
    life.answers_at(Instant::now() + LIMIT);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn a_component_has_the_grace_period_to_end_an_overdue_request() {
    let (watch, life, overdue, _innocent) = overdue_and_innocent(LIMIT);
    let end = overdue.progress().ends() + GRACE;
    assert_eq!(watch.judge(&life, end), Verdict::Lives);
    let beyond = end + Duration::from_millis(1);
    assert_eq!(watch.judge(&life, beyond), Verdict::Retires);
}

#[test]
fn a_request_is_overdue_once_its_time_is_over() {
    let (watch, life) = watch();
    life.moved_at(later());
    let requests: Vec<_> = (0..MAX_STUCK).map(|_| watch.register()).collect();
    let start = Instant::now();
    for request in &requests {
        request.progress().taken_by(&life);
        request.progress().excuse_until(start);
    }
    let end = requests[0].progress().ends();
    assert_eq!(watch.overdue(&life, end), 0);
    assert_eq!(watch.judge(&life, end), Verdict::Lives);
    let beyond = end + Duration::from_nanos(1);
    assert_eq!(watch.overdue(&life, beyond), MAX_STUCK);
    assert_eq!(watch.judge(&life, beyond), DEAD);
}

#[test]
fn an_instance_with_the_maximum_of_stuck_requests_ends() {
    let threads = 1..crate::limits::FILE_THREADS;
    assert!(threads.contains(&MAX_STUCK), "other requests need threads");
    let (watch, life) = watch();
    life.moved_at(later());
    let mut stuck = Vec::new();
    for _ in 0..MAX_STUCK {
        life.answers_at(Instant::now() + LIMIT);
        assert_eq!(watch.judge(&life, later()), Verdict::Lives);
        stuck.push(watch.register());
        stuck[stuck.len() - 1].progress().taken_by(&life);
    }
    life.answers_at(Instant::now() + LIMIT);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn an_instance_is_not_judged_by_the_requests_of_another() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent(LIMIT);
    let other = Arc::new(Life::new(Duration::ZERO));
    other.moved_at(later());
    assert_eq!(watch.overdue(&other, later()), 0);
    assert_eq!(watch.judge(&other, later()), Verdict::Lives);
    assert_eq!(watch.overdue(&life, later()), 1);
}

#[test]
fn outbound_requests_end_before_the_request_that_waits_for_them() {
    let (watch, life) = watch();
    let watched = watch.register();
    watched.progress().taken_by(&life);
    let progress = watched.progress().clone();
    let deadline = progress
        .outbound_deadline()
        .expect("the request is not answered");
    assert!(deadline < progress.since() + LIMIT && deadline > progress.since() + LIMIT / 2);
    drop(watched);
    assert_eq!(progress.outbound_deadline(), None);
}

#[test]
fn an_abandoned_component_ends_without_an_overdue_request() {
    let (watch, life) = watch();
    watch.abandon();
    let verdict = watch.judge(&life, Instant::now());
    assert_eq!(verdict, Verdict::Ends(Cause::Abandoned));
}

/// An instance that waits for a timer or for another server does not run by itself, and would be taken for one that stands
/// still.
#[tokio::test]
async fn an_instance_that_waits_is_woken_between_checks() {
    let (watch, life) = watch();
    let mut runs = 0;
    let event_loop = std::future::poll_fn(|cx| {
        life.moves(cx);
        runs += 1;
        if runs < 4 {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    });
    let end = watch.end(&life, Duration::from_millis(1));
    let waited = async {
        tokio::select! {
            () = event_loop => {}
            cause = end => panic!("{cause:?}"),
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
    waited.expect("the event loop runs again");
}

#[tokio::test]
async fn an_instance_retires_while_others_wait_and_then_ends() {
    let tick = Duration::from_millis(1);
    let (watch, life, _overdue, innocent) = overdue_and_innocent(tick);
    let retires = async {
        while !life.is_retiring() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = retires => {}
        cause = watch.end(&life, tick) => panic!("{cause:?}"),
    }
    drop(innocent);
    assert_eq!(watch.end(&life, tick).await, Cause::Overdue);
}
