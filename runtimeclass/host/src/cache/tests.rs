//! Whom the cache trusts, and what becomes of a bad entry.

use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn engine() -> Engine {
    crate::engine::engine().expect("an engine")
}

/// A cache in a new directory, and the path of the one entry for the empty component.
fn cache_with_entry(engine: &Engine) -> (TempDir, Cache, PathBuf) {
    let home = TempDir::new().expect("a directory");
    let path = home.path().join("a/b");
    let cache = Cache::open(&path)
        .expect("a safe directory")
        .expect("a cache");
    assert!(
        cache.load(engine, EMPTY_COMPONENT).is_none(),
        "a new cache is empty"
    );
    let component = Component::new(engine, EMPTY_COMPONENT).expect("a component");
    cache.store(engine, EMPTY_COMPONENT, &component);
    let names = cache.names(&key(engine, EMPTY_COMPONENT));
    let [name] = names.as_slice() else {
        panic!("not one entry: {names:?}");
    };
    let entry = path.join(name);
    (home, cache, entry)
}

#[test]
fn stored_code_is_found_again_and_nothing_else_is_left() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    assert!(cache.load(&engine, EMPTY_COMPONENT).is_some());
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
        assert!(
            cache.load(&engine, EMPTY_COMPONENT).is_none(),
            "{length} bytes are used"
        );
    }
    let mut changed = whole.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    std::fs::write(&entry, changed).expect("writable");
    assert!(
        cache.load(&engine, EMPTY_COMPONENT).is_none(),
        "a changed byte"
    );
    let component = Component::new(&engine, EMPTY_COMPONENT).expect("a component");
    cache.store(&engine, EMPTY_COMPONENT, &component);
    assert!(cache.load(&engine, EMPTY_COMPONENT).is_some());
}

#[test]
fn an_entry_that_others_could_have_written_is_not_used() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    std::fs::set_permissions(&entry, Permissions::from_mode(0o666)).expect("ours");
    assert!(cache.load(&engine, EMPTY_COMPONENT).is_none());
}

#[test]
fn an_entry_that_is_a_link_is_not_followed() {
    let engine = engine();
    let (_home, cache, entry) = cache_with_entry(&engine);
    let elsewhere = entry.with_extension("elsewhere");
    std::fs::rename(&entry, &elsewhere).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, &entry).expect("ours");
    assert!(cache.load(&engine, EMPTY_COMPONENT).is_none());
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
fn a_directory_that_cannot_be_made_means_no_cache() {
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
        cache.load(&engine, EMPTY_COMPONENT).is_some(),
        "the open directory is used, not its path"
    );
}

#[test]
fn the_longest_unused_makes_room() {
    let home = TempDir::new().expect("a directory");
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o700)).expect("ours");
    let cache = Cache::open(home.path()).expect("safe").expect("a cache");
    let now = SystemTime::now();
    for (age, name) in [
        (3, "unused.cwasm"),
        (1, "used.cwasm"),
        (9, "new.cwasm"),
        (9, "other"),
    ] {
        let file = File::create(home.path().join(name)).expect("writable");
        file.set_len(100).expect("writable");
        let used = now - std::time::Duration::from_secs(age);
        file.set_times(FileTimes::new().set_accessed(used))
            .expect("ours");
    }
    cache.make_room("new.cwasm", 250);
    let mut left = cache.names("");
    left.sort();
    assert_eq!(left, ["new.cwasm", "used.cwasm"]);
    assert!(home.path().join("other").exists(), "no entry");
}
