//! Files that are replaced atomically, and copies of directories.

use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file atomically: a reader sees all of the old content or all of the new.
///
/// # Errors
///
/// Fails if the directory cannot be written to. The old file then stays as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    atomically(path, |partial| {
        let mut options = fs::File::options();
        options.write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        options.open(partial)?.write_all(bytes)
    })
    .with_context(|| format!("cannot write {}", path.display()))
}

/// Copies a file atomically: a reader of the target sees all of the old content or all of the new.
///
/// # Errors
///
/// Fails if the file cannot be read or the target's directory cannot be written to.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    atomically(to, |partial| fs::copy(from, partial).map(drop))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Writes a file under another name, and renames it.
fn atomically(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let partial = partial_name(path);
    let written = write(&partial).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Returns a name in the same directory that no other writer uses.
fn partial_name(path: &Path) -> PathBuf {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or(OsStr::new("file"));
    path.with_file_name(format!(
        ".{}.{}-{}",
        name.to_string_lossy(),
        std::process::id(),
        WRITES.fetch_add(1, Ordering::Relaxed)
    ))
}

/// Returns a temporary file without a name, which is gone as soon as it is closed.
///
/// # Errors
///
/// Fails if the directory for temporary files cannot be written to.
pub fn unnamed() -> io::Result<fs::File> {
    let path = partial_name(&std::env::temp_dir().join("unnamed"));
    let mut options = fs::File::options();
    options.read(true).write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Copies all files of a directory and of those below it, with the default permissions: files in Go's module cache are
/// write-protected, and a copy of them should not be.
///
/// # Errors
///
/// Fails at the first file that cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            fs::write(&target, bytes)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        for text in ["first", "second"] {
            replace(&path, text.as_bytes()).expect("it is replaced");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
        }
        copy(&path, &directory.path().join("copy")).expect("it is copied");
        copy(Path::new("/no/such/file"), &path).expect_err("there is no such file");
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .expect("the directory is there")
            .map(|entry| entry.expect("it is readable").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["copy", "file"]);
    }

    #[test]
    fn a_tree_is_copied_whole_and_its_copy_is_writable() {
        let directory = tempfile::tempdir().expect("a directory");
        let from = directory.path().join("from");
        fs::create_dir_all(from.join("below")).expect("it is created");
        let source = from.join("below/file");
        fs::write(&source, "text").expect("it is written");
        let mut permissions = source.metadata().expect("it is there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&source, permissions).expect("it is protected");
        let to = directory.path().join("to");
        copy_tree(&from, &to).expect("it is copied");
        let copied = to.join("below/file");
        assert_eq!(fs::read_to_string(&copied).expect("it is there"), "text");
        let mode = copied.metadata().expect("it is there").permissions();
        assert!(!mode.readonly());
    }
}
