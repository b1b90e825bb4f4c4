//! Trust in the cache's directory and entries, limits, and concurrent compilations.

use super::*;
use crate::engine::Engine;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn engine() -> Engine {
    Engine::new().expect("an engine")
}

fn empty_key(engine: &Engine) -> Key {
    Key::of(engine, EMPTY_COMPONENT)
}

/// Compiles the empty component, and keeps its code.
fn keep(cache: &Cache, engine: &Engine) {
    let code = engine
        .compile(EMPTY_COMPONENT)
        .expect("a component")
        .into_bytes();
    let kept = cache.keep(&empty_key(engine), "owner", code.as_slice());
    kept.expect("it can be kept");
}

fn is_found(cache: &Cache, engine: &Engine) -> bool {
    let entry = cache.find(&empty_key(engine));
    entry.is_some_and(|entry| entry.component(engine).is_ok())
}

/// Returns a cache in a new directory, and the path of its only entry, which is for the empty component.
fn cache_with_entry(engine: &Engine) -> (TempDir, Cache, PathBuf) {
    let home = TempDir::new().expect("a directory");
    let path = home.path().join("a/b");
    let cache = Cache::open(&path)
        .expect("a safe directory")
        .expect("a cache");
    assert!(!is_found(&cache, engine), "a new cache is empty");
    keep(&cache, engine);
    let names = cache.names(entry::is_name);
    let [name] = names.as_slice() else {
        panic!("not one entry: {names:?}");
    };
    let entry = path.join(name);
    (home, cache, entry)
}

#[test]
fn stored_code_is_found_again_without_leftovers() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    assert!(is_found(&cache, &engine));
    let directory = entry.parent().expect("in a directory");
    assert_eq!(std::fs::read_dir(directory).expect("readable").count(), 1);
    assert_eq!(
        std::fs::metadata(directory).expect("there").mode() & 0o777,
        0o700
    );
}

#[test]
fn a_torn_entry_is_not_used_and_is_replaced() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    let whole = std::fs::read(&entry).expect("readable");
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&entry, &whole[..length]).expect("writable");
        assert!(!is_found(&cache, &engine), "{length} bytes are used");
    }
    let mut changed = whole.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    std::fs::write(&entry, changed).expect("writable");
    assert!(!is_found(&cache, &engine), "a changed byte");
    keep(&cache, &engine);
    assert!(is_found(&cache, &engine));
}

#[test]
fn an_entry_that_others_could_have_written_is_not_used() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    std::fs::set_permissions(&entry, Permissions::from_mode(0o666)).expect("ours");
    assert!(!is_found(&cache, &engine));
}

#[test]
fn an_entry_that_is_a_link_is_not_followed() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    let elsewhere = entry.with_extension("elsewhere");
    std::fs::rename(&entry, &elsewhere).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, &entry).expect("ours");
    assert!(!is_found(&cache, &engine));
}

#[test]
fn a_directory_that_others_can_write_is_an_error_that_names_it() {
    let home = TempDir::new().expect("a directory");
    for mode in [0o770, 0o707, 0o1777] {
        std::fs::set_permissions(home.path(), Permissions::from_mode(mode)).expect("ours");
        let error = Cache::open(home.path()).expect_err("not safe").to_string();
        assert!(
            error.starts_with(&home.path().display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn without_a_directory_there_is_no_cache() {
    let home = TempDir::new().expect("a directory");
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("writable");
    assert!(
        Cache::open(&file.join("cache"))
            .expect("not an error")
            .is_none()
    );
}

#[test]
fn the_directory_is_found_again_under_another_path() {
    let engine = engine();
    let (home, cache, _) = cache_with_entry(&engine);
    std::fs::rename(home.path().join("a"), home.path().join("moved")).expect("ours");
    assert!(
        is_found(&cache, &engine),
        "the open directory is used, not its path"
    );
}

/// Returns an empty cache in a new directory.
fn empty_cache() -> (TempDir, Cache) {
    let home = TempDir::new().expect("a directory");
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o700)).expect("ours");
    let cache = Cache::open(home.path()).expect("safe").expect("a cache");
    (home, cache)
}

fn file(home: &TempDir, name: &str, size: u64, age: Duration) {
    let file = File::create(home.path().join(name)).expect("writable");
    file.set_len(size).expect("writable");
    let then = SystemTime::now() - age;
    let times = FileTimes::new().set_accessed(then).set_modified(then);
    file.set_times(times).expect("ours");
}

fn left(cache: &Cache) -> Vec<String> {
    let mut left = cache.names(entry::is_name);
    left.sort();
    left
}

#[test]
fn the_least_recently_used_entry_makes_room() {
    let (home, cache) = empty_cache();
    for (age, name) in [
        (3, "unused-a.cwasm"),
        (1, "used-a.cwasm"),
        (9, "new-a.cwasm"),
        (9, "other"),
    ] {
        file(&home, name, 100, Duration::from_secs(age));
    }
    cache.make_room("new-a.cwasm", 250);
    assert_eq!(left(&cache), ["new-a.cwasm", "used-a.cwasm"]);
    assert!(home.path().join("other").exists(), "no entry");
}

#[test]
fn an_owner_with_much_code_does_not_evict_others() {
    let (home, cache) = empty_cache();
    file(&home, "old-small.cwasm", 100, Duration::from_secs(1000));
    for at in 0..9 {
        let name = format!("{at}-large.cwasm");
        file(&home, &name, 100, Duration::from_secs(100 - at));
    }
    cache.make_room("8-large.cwasm", 300);
    assert_eq!(
        left(&cache),
        ["7-large.cwasm", "8-large.cwasm", "old-small.cwasm"]
    );
}

#[test]
fn leftovers_of_killed_processes_are_removed() {
    let (home, cache) = empty_cache();
    let hour = Duration::from_secs(3600);
    file(&home, ".unfinished.1.0", 100, 2 * hour);
    file(&home, ".unfinished.2.0", 100, hour / 2);
    file(&home, "old.failed", 100, hour);
    cache.make_room("", 1000);
    assert!(!home.path().join(".unfinished.1.0").exists());
    assert!(home.path().join(".unfinished.2.0").exists());
    assert!(!home.path().join("old.failed").exists());
}

#[test]
fn a_failure_is_remembered_for_a_while() {
    let engine = engine();
    let (home, cache) = empty_cache();
    let key = empty_key(&engine);
    assert_eq!(cache.failure(&key), None);
    let reason = "x".repeat(5000);
    cache.remember_failure(&key, &reason).expect("writable");
    assert_eq!(cache.failure(&key).as_deref(), Some(&reason[..4096]));
    let name = format!("{}.failed", key.name());
    file(&home, &name, 10, Duration::from_secs(301));
    assert_eq!(cache.failure(&key), None);
}

#[test]
fn code_that_is_too_large_is_not_kept() {
    let engine = engine();
    let (home, cache) = empty_cache();
    let large = std::io::repeat(0).take(MAX_ENTRY + 1);
    let kept = cache.keep(&empty_key(&engine), "owner", large);
    let error = format!("{:#}", kept.expect_err("too large"));
    assert!(error.contains("more than"), "{error}");
    let files = std::fs::read_dir(home.path()).expect("readable");
    assert_eq!(files.count(), 0);
}

#[test]
fn one_owner_compiles_one_component_at_a_time() {
    let engine = engine();
    let (_home, cache) = empty_cache();
    let keys: Vec<Key> = (0..6u8).map(|at| Key::of(&engine, &[at])).collect();
    let turn = |at: usize, owner: &str| cache.turn(&keys[at], owner, Instant::now());
    let first = turn(0, "a").expect("all locks are free");
    let error = |result: Result<turn::Turn, Error>| format!("{:#}", result.expect_err("not free"));
    assert!(error(turn(0, "b")).contains("the same code"));
    assert!(error(turn(1, "a")).contains("other code of \"a\""));
    let _others = [turn(1, "b"), turn(2, "c"), turn(3, "d")].map(|turn| turn.expect("free"));
    assert!(error(turn(4, "e")).contains("for other owners"));
    drop(first);
    turn(4, "e").expect("free again");
}
