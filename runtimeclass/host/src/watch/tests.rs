//! Who is overdue, and whose fault it is.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn watch() -> Arc<Watch> {
    Arc::new(Watch::new(LIMIT))
}

/// A moment so far ahead that everything unexcused is overdue.
fn later() -> Instant {
    Instant::now() + LIMIT + Duration::from_secs(5)
}

#[test]
fn a_request_is_overdue_only_after_the_limit() {
    let watch = watch();
    let started = Instant::now();
    assert_eq!(watch.judge(started, later()), None, "nothing is watched");
    let _ticket = watch.register();
    assert_eq!(watch.judge(started, Instant::now()), None);
    assert_eq!(watch.judge(started, later()), Some(Death::Overdue));
}

#[test]
fn an_answered_request_is_not_watched_any_more() {
    let watch = watch();
    drop(watch.register());
    assert_eq!(watch.judge(Instant::now(), later()), None);
}

#[test]
fn a_successor_is_not_blamed_for_what_waited_before_it_started() {
    let watch = watch();
    let _ticket = watch.register();
    let started = later();
    assert_eq!(watch.judge(started, started), None);
    assert_eq!(
        watch.judge(started, started + LIMIT + LIMIT),
        Some(Death::Overdue)
    );
}

#[test]
fn time_spent_waiting_for_the_client_does_not_count() {
    let watch = watch();
    let ticket = watch.register();
    ticket.progress().excuse_until(later());
    assert_eq!(watch.judge(Instant::now(), later()), None);
    ticket.progress().touch();
    assert_eq!(watch.judge(Instant::now(), later()), Some(Death::Overdue));
}

#[test]
fn an_abandoned_component_is_dead_though_nothing_is_overdue() {
    let watch = watch();
    watch.abandon();
    assert_eq!(
        watch.judge(Instant::now(), Instant::now()),
        Some(Death::Abandoned)
    );
}
