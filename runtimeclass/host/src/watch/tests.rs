//! Who is overdue, and when that ends an instance.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);
const DEAD: Verdict = Verdict::Dies(Death::Overdue);

fn watch() -> (Arc<Watch>, Arc<Life>) {
    let life = Arc::new(Life::new(Duration::ZERO));
    (Arc::new(Watch::new(LIMIT)), life)
}

/// A moment so far ahead that everything unexcused is overdue.
fn later() -> Instant {
    Instant::now() + LIMIT + Duration::from_secs(5)
}

#[test]
fn an_instance_that_stands_still_dies_after_the_limit_if_anybody_waits() {
    let (watch, life) = watch();
    assert_eq!(watch.judge(&life, later()), Verdict::Lives, "nobody waits");
    let ticket = watch.register();
    assert_eq!(watch.judge(&life, Instant::now()), Verdict::Lives);
    assert_eq!(watch.judge(&life, later()), DEAD);
    drop(ticket);
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
    let ticket = watch.register();
    ticket.progress().taken_by(&life);
    ticket.progress().excuse_until(later());
    assert_eq!(watch.judge(&life, later()), Verdict::Lives);
    assert_eq!(watch.judge(&life, later() + LIMIT + LIMIT), DEAD);
}

/// Two requests, one of them overdue at [`later`], of an instance whose event loop turns.
fn overdue_and_innocent() -> (Arc<Watch>, Arc<Life>, Ticket, Ticket) {
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
fn an_instance_that_answers_nobody_retires_and_ends_when_the_innocent_are_gone() {
    let (watch, life, _overdue, innocent) = overdue_and_innocent();
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    life.retire();
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn an_answer_from_before_an_overdue_requests_second_half_proves_nothing() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
    life.answers_at(Instant::now() + LIMIT / 3);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
}

#[test]
fn a_retiring_instance_is_not_called_back_by_an_answer() {
    let (watch, life, _overdue, innocent) = overdue_and_innocent();
    life.retire();
    life.answers_at(Instant::now() + LIMIT);
    assert_eq!(watch.judge(&life, later()), Verdict::Retires);
    drop(innocent);
    assert_eq!(watch.judge(&life, later()), DEAD);
}

#[test]
fn a_component_has_a_moment_to_end_an_overdue_request() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
    let told = Instant::now() + LIMIT + GRACE / 2;
    assert_eq!(watch.judge(&life, told), Verdict::Lives);
}

#[test]
fn only_so_many_requests_may_be_stuck() {
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
fn another_instances_requests_are_not_judged() {
    let (watch, life, _overdue, _innocent) = overdue_and_innocent();
    let other = Arc::new(Life::new(Duration::ZERO));
    other.moved_at(later());
    assert_eq!(watch.overdue(&other, later()), 0);
    assert_eq!(watch.judge(&other, later()), Verdict::Lives);
    assert_eq!(watch.overdue(&life, later()), 1);
}

#[test]
fn what_a_component_waits_for_ends_before_its_request_does() {
    let (watch, life) = watch();
    let ticket = watch.register();
    ticket.progress().taken_by(&life);
    let progress = ticket.progress().clone();
    let told = progress.told_at().expect("the request is not answered");
    assert!(told < progress.since() + LIMIT && told > progress.since() + LIMIT / 2);
    drop(ticket);
    assert_eq!(progress.told_at(), None);
}

#[test]
fn an_abandoned_component_is_dead_though_nothing_is_overdue() {
    let (watch, life) = watch();
    watch.abandon();
    let verdict = watch.judge(&life, Instant::now());
    assert_eq!(verdict, Verdict::Dies(Death::Abandoned));
}
