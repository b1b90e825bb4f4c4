//! Files below a container's root directory, opened from outside. Root opens them by paths that the container or the image
//! chose.
//!
//! Every path is resolved below the given root, symbolic links included (`openat2` with `RESOLVE_IN_ROOT`). Only regular
//! files are opened, because opening a device or a FIFO can have effects.

use anyhow::{Context, Result, ensure};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The number of attempts to resolve a path.
const MAX_ATTEMPTS: usize = 128;

/// Finds the file at `path` below `root`. The descriptor (`O_PATH`) can neither read nor write.
pub(crate) fn find(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    open_below(root, path, flags, resolve)
}

/// Opens `path` below `root`. If anything on the node is mounted or renamed while the kernel resolves a `..`, it cannot
/// tell whether the path stayed below the root, and fails with `EAGAIN` (openat2(2)); the next attempt may succeed.
fn open_below(
    root: impl AsFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut attempts = 0;
    loop {
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if attempts < MAX_ATTEMPTS => attempts += 1,
            result => return result,
        }
    }
}

/// Creates the directory at `path` below `root`, and its parents, as far as they are missing. They belong to this user and
/// this group.
pub(crate) fn make_directories(
    root: impl AsFd,
    path: &Path,
    (user, group): (u32, u32),
) -> Result<()> {
    let describe = || format!("cannot create {} in the image", path.display());
    let mut parent = find(&root, Path::new("/")).with_context(describe)?;
    let mut whole = PathBuf::from("/");
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        whole.push(name);
        parent = match find(&root, &whole) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                    .with_context(describe)?;
                let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&parent, name, Some(user), Some(group), flags)
                    .with_context(describe)?;
                find(&root, &whole)
            }
            found => found,
        }
        .with_context(describe)?;
    }
    Ok(())
}

/// Fails if the image has a link or a file at the mount point of a kernel's file system. libcontainer creates links below
/// /dev by its path on the node, and would follow a link of the image (docs/upstream/dev-link.md).
pub(crate) fn check_mount_point(root: impl AsFd, path: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    match open_below(root, path, flags, resolve) {
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).with_context(|| {
            let path = path.display();
            format!("the image's /{path} must be a directory, not a link or a file (build the image without it)")
        }),
    }
}

/// Opens a found file for reading. Fails if it is not a regular file.
pub(crate) fn open(found: &OwnedFd) -> Result<File> {
    let status = rustix::fs::fstat(found)?;
    ensure!(
        rustix::fs::FileType::from_raw_mode(status.st_mode).is_file(),
        "not a regular file"
    );
    // The kernel's name of the descriptor leads to the same file.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(File::from(file))
}

/// Reads a whole file below `root`. Fails if the file has more than `max` bytes.
pub(crate) fn read(root: impl AsFd, path: &Path, max: u64) -> Result<Vec<u8>> {
    let describe = || format!("cannot read {} in the image", path.display());
    let found = find(root, path).with_context(describe)?;
    let file = open(&found).with_context(describe)?;
    read_bounded(file, max).with_context(describe)
}

fn read_bounded(file: impl Read, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= max,
        "the file has more than {max} bytes"
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_link_in_the_image_does_not_lead_out_of_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let outside = directory.path().join("secret");
        std::fs::write(&outside, "secret").expect("it can be written");
        let image = directory.path().join("image");
        std::fs::create_dir_all(image.join("app")).expect("it can be created");
        let link = |to: &Path, name: &str| {
            symlink(to, image.join("app").join(name)).expect("it can be linked")
        };
        link(&outside, "absolute");
        link(Path::new("../../secret"), "relative");
        link(Path::new("/app/spin.toml"), "inside");
        symlink(directory.path(), image.join("directory")).expect("it can be linked");
        std::fs::write(image.join("app/spin.toml"), "manifest").expect("it can be written");
        let root = File::open(&image).expect("it is there");
        let read = |path: &str| read(&root, Path::new(path), 100);
        assert!(read("/app/absolute").is_err());
        assert!(read("/app/relative").is_err());
        assert!(read("/../secret").is_err());
        assert!(read("/directory/secret").is_err(), "a link to a directory");
        assert!(read("/app").is_err(), "a directory");
        assert_eq!(
            read("/app/inside").expect("it is in the image"),
            b"manifest"
        );
        assert!(
            super::read(&root, Path::new("/app/inside"), 7).is_err(),
            "too large"
        );
    }

    #[test]
    fn a_path_is_found_while_others_rename_files() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let image = directory.path().join("image");
        std::fs::create_dir_all(image.join("bin")).expect("it can be created");
        std::fs::write(image.join("bin/busybox"), "").expect("it can be written");
        symlink("../bin/busybox", image.join("bin/wc")).expect("it can be linked");
        let root = File::open(&image).expect("it is there");
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "").expect("it can be written");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::rename(&one, &other).expect("it can be renamed");
                    std::fs::rename(&other, &one).expect("it can be renamed");
                }
            });
            let found = (0..50_000).try_for_each(|_| find(&root, Path::new("/bin/wc")).map(drop));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            found.expect("the file is there");
        });
    }

    #[test]
    fn the_kernels_file_systems_are_mounted_on_directories_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(directory.path()).expect("it is there");
        let check = |name: &str| check_mount_point(&root, Path::new(name));
        check("missing").expect("it can be created");
        std::fs::create_dir(directory.path().join("proc")).expect("it can be created");
        check("proc").expect("a directory");
        std::fs::write(directory.path().join("file"), "").expect("it can be written");
        check("file").expect_err("a file");
        symlink("/etc", directory.path().join("dev")).expect("it can be linked");
        symlink("proc", directory.path().join("sys")).expect("it can be linked");
        for name in ["dev", "sys"] {
            let error = format!("{:#}", check(name).expect_err("a link"));
            assert!(
                error.starts_with(&format!("the image's /{name} must be a directory")),
                "{error}"
            );
        }
    }

    #[test]
    fn directories_are_created_inside_the_image_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let image = directory.path().join("image");
        std::fs::create_dir_all(image.join("etc")).expect("it can be created");
        let outside = directory.path().join("outside");
        std::fs::create_dir(&outside).expect("it can be created");
        symlink(&outside, image.join("link")).expect("it can be linked");
        symlink("/etc", image.join("inside")).expect("it can be linked");
        let root = File::open(&image).expect("it is there");
        let ids = (
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        );
        let make = |path: &str| make_directories(&root, Path::new(path), ids);
        make("/a/b/c").expect("it can be created");
        make("/a/b/c").expect("it is there");
        assert!(image.join("a/b/c").is_dir());
        make("/inside/d").expect("it can be created");
        assert!(image.join("etc/d").is_dir());
        make("/link/e").expect_err("the link leads nowhere in the image");
        assert!(!outside.join("e").exists());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(directory.path()).expect("it is there");
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .expect("it can be created");
        let _socket = UnixListener::bind(directory.path().join("socket")).expect("it can be bound");
        let nodes = File::open("/dev").expect("it is there");
        let device = find(&nodes, Path::new("null")).expect("it is there");
        open(&device).expect_err("a device");
        for name in ["fifo", "socket", "."] {
            let found = find(&root, Path::new(name)).expect("it is there");
            let error = open(&found).expect_err(name);
            assert_eq!(error.to_string(), "not a regular file", "{name}");
        }
        let missing = find(&root, Path::new("missing/file"));
        assert_eq!(missing.expect_err("it is not there"), Errno::NOENT);
    }
}
