//! Archives that are packed and unpacked again, and archives made by hand.

use super::*;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tar::{EntryType, Header};
use tempfile::{TempDir, tempdir};

/// The exit code, the standard output and the error lines of a run.
struct Outcome {
    code: i32,
    output: Vec<u8>,
    lines: String,
}

fn tar(words: &[&str], mut input: &[u8]) -> Outcome {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    let (mut output, mut lines) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        input: &mut input,
        output: &mut output,
    };
    let code = run(&words, &mut streams, &mut Report::new("tar", &mut lines));
    let lines = String::from_utf8(lines).expect("text");
    Outcome {
        code,
        output,
        lines,
    }
}

fn directory() -> TempDir {
    tempdir().expect("a directory")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Returns an archive with these members: a name, a type, and a link's target or a file's content.
fn members(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o600);
        header.set_mtime(1_000_000_000);
        let is_file = *kind == EntryType::Regular;
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        if !is_file {
            header
                .set_link_name_literal(content)
                .expect("the target is short");
        }
        header.set_cksum();
        let content = if is_file { content.as_bytes() } else { b"" };
        builder.append(&header, content).expect("a vector");
    }
    builder.into_inner().expect("a vector")
}

#[test]
fn an_unpacked_tree_is_the_packed_one() {
    let (from, to) = (directory(), directory());
    let tree = from.path().join("tree");
    let long = "long".repeat(30);
    fs::create_dir_all(tree.join("a").join(&long)).expect("directories");
    fs::create_dir(tree.join("nothing")).expect("a directory");
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    fs::write(tree.join("a/bytes"), &bytes).expect("a file");
    fs::write(tree.join("a").join(&long).join(&long), "deep").expect("a file");
    fs::write(tree.join("empty"), "").expect("a file");
    fs::write(tree.join("back\\slash"), "x").expect("a file");
    rustix::fs::symlink("a/bytes", tree.join("link")).expect("a link");
    rustix::fs::symlink(format!("{long}/{long}"), tree.join("long link")).expect("a link");
    let time = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let file = File::options().write(true).open(tree.join("empty"));
    file.and_then(|file| file.set_modified(time))
        .expect("a time");

    let packed = tar(&["cf", "-", "-C", text(from.path()), "tree"], b"");
    assert_eq!((packed.code, packed.lines.as_str()), (0, ""));
    let unpacked = tar(&["xf", "-", "-C", text(to.path())], &packed.output);
    assert_eq!((unpacked.code, unpacked.lines.as_str()), (0, ""));

    let tree = to.path().join("tree");
    assert!(fs::read(tree.join("a/bytes")).expect("a file") == bytes);
    let deep = tree.join("a").join(&long).join(&long);
    assert_eq!(fs::read(deep).expect("a file"), b"deep");
    assert_eq!(fs::read(tree.join("back\\slash")).expect("a file"), b"x");
    assert!(tree.join("nothing").is_dir());
    let link = tree.join("link").read_link().expect("a link");
    assert_eq!(link, Path::new("a/bytes"));
    let link = tree.join("long link").read_link().expect("a link");
    assert_eq!(link, Path::new(&long).join(&long));
    let empty = tree.join("empty").metadata().expect("a file");
    assert_eq!((empty.len(), empty.modified().ok()), (0, Some(time)));

    let listed = tar(&["tf", "-"], &packed.output);
    assert_eq!(listed.code, 0);
    let names = String::from_utf8(listed.output).expect("text");
    let expected = format!(
        "tree/\ntree/a/\ntree/a/bytes\ntree/a/{long}/\ntree/a/{long}/{long}\ntree/back\\slash\ntree/empty\n\
         tree/link\ntree/long link\ntree/nothing/\n"
    );
    assert_eq!(names, expected);
}

#[test]
fn names_are_made_relative() {
    let from = directory();
    let file = from.path().join("f");
    fs::write(&file, "1").expect("a file");
    let packed = tar(&["cf", "-", text(&file)], b"");
    assert_eq!(packed.code, 0);
    assert_eq!(
        packed.lines,
        "tar: Removing leading `/' from member names\n"
    );
    let listed = tar(&["-tf-"], &packed.output);
    let name = String::from_utf8(listed.output).expect("text");
    assert_eq!(name.trim_end(), text(&file).trim_start_matches('/'));
}

#[test]
fn a_missing_file_is_reported_and_the_rest_is_packed() {
    let from = directory();
    fs::write(from.path().join("f"), "1").expect("a file");
    let packed = tar(&["cf", "-", "-C", text(from.path()), "no", "f"], b"");
    assert_eq!(packed.code, FAILED);
    assert!(
        packed
            .lines
            .contains("no: Cannot stat: No such file or directory\n"),
        "{}",
        packed.lines
    );
    assert_eq!(tar(&["t"], &packed.output).output, b"f\n");
}

#[test]
fn members_that_would_leave_the_directory_are_refused() {
    let (outside, to) = (directory(), directory());
    rustix::fs::symlink(text(outside.path()), to.path().join("there")).expect("a link");
    let archive = members(&[
        ("../a", EntryType::Regular, "1"),
        ("b/../../a", EntryType::Regular, "1"),
        ("there/a", EntryType::Regular, "1"),
        ("there/d/", EntryType::Directory, ""),
        ("new", EntryType::Symlink, text(outside.path())),
        ("new/a", EntryType::Regular, "1"),
        ("hard", EntryType::Link, "../../etc/passwd"),
        ("/absolute", EntryType::Regular, "2"),
        ("fifo", EntryType::Fifo, ""),
        ("f", EntryType::Regular, "3"),
    ]);
    let unpacked = tar(&["xf", "-", "-C", text(to.path())], &archive);
    assert_eq!(unpacked.code, FAILED);
    for line in [
        "tar: ../a: Member name contains '..'",
        "tar: b/../../a: Member name contains '..'",
        "there/a: Cannot open: ",
        "there/d/: Cannot mkdir: ",
        "tar: new: Cannot create symlink",
        "tar: hard: Member name contains '..'",
        "tar: fifo: Cannot make special files",
    ] {
        assert!(unpacked.lines.contains(line), "{line}: {}", unpacked.lines);
    }
    let left_over = fs::read_dir(outside.path()).expect("a directory").count();
    assert_eq!(left_over, 0);
    let read = |name| fs::read(to.path().join(name)).expect("a file");
    assert_eq!((read("absolute"), read("f")), (b"2".into(), b"3".into()));
}

#[test]
fn files_and_links_are_replaced_instead_of_written_through() {
    let (outside, to) = (directory(), directory());
    let secret = outside.path().join("secret");
    fs::write(&secret, "kept").expect("a file");
    rustix::fs::symlink(text(&secret), to.path().join("f")).expect("a link");
    fs::write(to.path().join("g"), "old").expect("a file");
    let archive = members(&[
        ("f", EntryType::Regular, "new"),
        ("g", EntryType::Regular, "new"),
        ("h", EntryType::Link, "f"),
    ]);
    let unpacked = tar(&["-xmf", "-", "-C", text(to.path())], &archive);
    assert_eq!((unpacked.code, unpacked.lines.as_str()), (0, ""));
    assert_eq!(fs::read(secret).expect("a file"), b"kept");
    for name in ["f", "g", "h"] {
        let path = to.path().join(name);
        assert!(path.symlink_metadata().expect("a file").is_file(), "{name}");
        assert_eq!(fs::read(&path).expect("a file"), b"new", "{name}");
        // With -m the time is that of the unpacking.
        let modified = path.metadata().and_then(|file| file.modified());
        let elapsed = modified.expect("a time").elapsed().unwrap_or_default();
        assert!(elapsed < Duration::from_secs(3600), "{name}: {elapsed:?}");
    }
}

#[test]
fn only_named_members_are_unpacked() {
    let to = directory();
    let archive = members(&[
        ("a/1", EntryType::Regular, "1"),
        ("ab", EntryType::Regular, "2"),
    ]);
    let unpacked = tar(&["xf", "-", "-C", text(to.path()), "a", "c"], &archive);
    assert_eq!(unpacked.code, FAILED);
    assert!(unpacked.lines.contains("tar: c: Not found in archive"));
    assert!(to.path().join("a/1").is_file() && !to.path().join("ab").exists());
    let listed = tar(&["tvf", "-", "ab"], &archive);
    let line = String::from_utf8(listed.output).expect("text");
    assert_eq!(line, "-rw-------         1 2001-09-09 01:46:40 ab\n");
}

#[test]
fn an_invalid_archive_is_an_error() {
    let to = directory();
    let whole = members(&[("f", EntryType::Regular, "1")]);
    for input in [&b""[..], &[b'x'; 2048], &whole[..700]] {
        let outcome = tar(&["xf", "-", "-C", text(to.path())], input);
        assert_eq!(outcome.code, FAILED, "{}", outcome.lines);
    }
    let nowhere = tar(&["xf", "-", "-C", "/no/such"], &whole);
    assert!(nowhere.lines.starts_with("tar: /no/such: Cannot open: "));
    assert_eq!(tar(&["xzf", "-"], &whole).code, USAGE);
    assert_eq!(tar(&["--help"], b"").code, 0);
}
