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
fn time_spent_waiting_for_the_client_does_not_count() {
    let (watch, life) = watch();
    let watched = watch.register();
    watched.progress().taken_by(&life);
    watched.progress().excuse_until(later());
    assert_eq!(watch.judge(&life, later()), Verdict::Lives);
    assert_eq!(watch.judge(&life, later() + LIMIT + LIMIT), DEAD);
}

/// Returns two requests of an instance whose event loop runs. One is overdue at [`later`].
fn overdue_and_innocent() -> (Arc<Watch>, Arc<Life>, Watched, Watched) {
    let (watch, life) = watch();
    let (overdue, innocent) = (watch.register(), watch.register());
    overdue.progress().taken_by(&life);
    innocent.progress().taken_by(&life);
    innocent.progress().excuse_until(later());
    life.moved_at(later());
    (watch, life, overdue, innocent)
}

#[test]
fn an_instance_that_answers_others_lives_on_with_an_overdue_request() {
    let (watch, life, overdue, innocent) = overdue_and_innocent();
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
    let (watch, life, _overdue, innocent) = overdue_and_innocent();
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    life.retire();
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn a_response_before_the_second_half_of_an_overdue_requests_time_does_not_count() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
    life.answers_at(Instant::now() + LIMIT / 3);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
}

#[test]
fn a_response_does_not_end_the_retirement_of_an_instance() {
    let (watch, life, _overdue, innocent) = overdue_and_innocent();
    life.retire();
    life.answers_at(Instant::now() + LIMIT);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn a_component_has_the_grace_period_to_end_an_overdue_request() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
    let within = Instant::now() + LIMIT + GRACE / 2;
    assert_eq!(watch.judge(&life, within), Verdict::Lives);
}

#[test]
fn an_instance_with_the_maximum_of_stuck_requests_ends() {
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
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
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
