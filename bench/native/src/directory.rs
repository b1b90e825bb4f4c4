//! The directory of the counter's protocol on Linux. Only syncs take long enough for another thread; every other call
//! costs less than that thread's wake-up.

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;
use visits::protocol::directory::{Directory, Entry, FsError, FsErrorKind, FsResult, OpenFile};

/// An open directory. Symbolic links in it are not followed.
#[derive(Clone)]
pub(crate) struct NativeDirectory(Arc<OwnedFd>);

/// A file that is open for writing.
pub(crate) struct NativeFile {
    file: OwnedFd,
    size_when_opened: u64,
}

/// The flags that open a directory.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl NativeDirectory {
    /// Opens the directory at `path`.
    pub(crate) fn open(path: &Path) -> FsResult<Self> {
        let opened = fs::openat(CWD, path, DIRECTORY, Mode::empty());
        Ok(NativeDirectory(Arc::new(opened.map_err(error)?)))
    }

    fn open_at(&self, name: &str, flags: OFlags) -> FsResult<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&*self.0, name, flags, Mode::from_raw_mode(0o666)).map_err(error)
    }

    /// Opens a regular file, and returns its size, too. Without `NONBLOCK`, opening a FIFO would wait for its other end.
    fn open_plain(&self, name: &str, flags: OFlags) -> FsResult<(OwnedFd, u64)> {
        let file = self.open_at(name, flags | OFlags::NONBLOCK)?;
        let stat = fs::fstat(&file).map_err(error)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((file, stat.st_size.cast_unsigned())),
            kind => Err(other(format!("not a file, but {kind:?}: remove it"))),
        }
    }
}

impl Directory for NativeDirectory {
    type File = NativeFile;

    async fn open_dir(&self, name: &str) -> FsResult<Self> {
        Ok(NativeDirectory(Arc::new(self.open_at(name, DIRECTORY)?)))
    }

    async fn create_dir(&self, name: &str) -> FsResult<()> {
        fs::mkdirat(&*self.0, name, Mode::from_raw_mode(0o777)).map_err(error)
    }

    async fn create_file(&self, name: &str) -> FsResult<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_at(name, flags).map(drop)
    }

    async fn sync_file(&self, name: &str) -> FsResult<()> {
        let (file, _) = self.open_plain(name, OFlags::RDONLY)?;
        sync(Arc::new(file)).await
    }

    async fn list(&self) -> FsResult<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&*self.0).map_err(error)? {
            let entry = entry.map_err(error)?;
            if [c".", c".."].contains(&entry.file_name()) {
                continue;
            }
            let mut kind = entry.file_type();
            // Not every file system keeps the type in the directory.
            if kind == FileType::Unknown {
                let stat = fs::statat(&*self.0, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                kind = FileType::from_raw_mode(stat.map_err(error)?.st_mode);
            }
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: kind == FileType::Directory,
            });
        }
        Ok(entries)
    }

    async fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        self.rename_into(from, self, to).await
    }

    async fn rename_into(&self, from: &str, target: &Self, to: &str) -> FsResult<()> {
        fs::renameat(&*self.0, from, &*target.0, to).map_err(error)
    }

    async fn sync(&self) -> FsResult<()> {
        sync(self.0.clone()).await
    }

    async fn read(&self, name: &str, limit: usize) -> FsResult<Vec<u8>> {
        let (file, size) = self.open_plain(name, OFlags::RDONLY)?;
        let mut content = vec![0; limit.min(usize::try_from(size).unwrap_or(limit))];
        let mut length = 0;
        while length < content.len() {
            match rustix::io::pread(&file, &mut content[length..], length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error(errno)),
            }
        }
        content.truncate(length);
        Ok(content)
    }

    async fn open_file(&self, name: &str, create: bool) -> FsResult<NativeFile> {
        let create = if create {
            OFlags::CREATE
        } else {
            OFlags::empty()
        };
        let (file, size_when_opened) = self.open_plain(name, OFlags::WRONLY | create)?;
        Ok(NativeFile {
            file,
            size_when_opened,
        })
    }

    async fn modified(&self, name: &str) -> FsResult<Option<SystemTime>> {
        let stat = fs::statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW).map_err(error)?;
        Ok(u64::try_from(stat.st_mtime).ok().map(|seconds| {
            let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
            SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
        }))
    }

    async fn remove_file(&self, name: &str) -> FsResult<()> {
        fs::unlinkat(&*self.0, name, AtFlags::empty()).map_err(error)
    }

    async fn remove_dir(&self, name: &str) -> FsResult<()> {
        fs::unlinkat(&*self.0, name, AtFlags::REMOVEDIR).map_err(error)
    }
}

impl OpenFile for NativeFile {
    fn size_when_opened(&self) -> u64 {
        self.size_when_opened
    }

    async fn write(&self, bytes: &[u8]) -> FsResult<()> {
        match rustix::io::pwrite(&self.file, bytes, 0).map_err(error)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(other("the write ended early".into())),
        }
    }

    async fn truncate(&self, size: u64) -> FsResult<()> {
        if fs::fstat(&self.file)
            .map_err(error)?
            .st_size
            .cast_unsigned()
            > size
        {
            fs::ftruncate(&self.file, size).map_err(error)?;
        }
        Ok(())
    }
}

/// Syncs a file or a directory on another thread.
async fn sync(file: Arc<OwnedFd>) -> FsResult<()> {
    match spawn_blocking(move || fs::fsync(&*file)).await {
        Ok(synced) => synced.map_err(error),
        Err(cancelled) => Err(other(cancelled.to_string())),
    }
}

fn error(errno: Errno) -> FsError {
    use FsErrorKind::*;
    let kind = match errno {
        Errno::NOENT => NotFound,
        Errno::EXIST => Exists,
        Errno::NOTEMPTY => NotEmpty,
        Errno::NOTDIR => NotADirectory,
        Errno::ROFS => ReadOnly,
        Errno::PERM => NotPermitted,
        Errno::ACCESS => Denied,
        Errno::NOSPC | Errno::DQUOT => NoSpace,
        Errno::IO => Io,
        _ => Other,
    };
    FsError {
        kind,
        text: errno.to_string(),
    }
}

fn other(text: String) -> FsError {
    FsError {
        kind: FsErrorKind::Other,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn directory() -> (TempDir, NativeDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = NativeDirectory::open(parent.path()).unwrap();
        (parent, directory)
    }

    fn kind<T>(result: FsResult<T>) -> Option<FsErrorKind> {
        result.err().map(|error| error.kind)
    }

    #[tokio::test]
    async fn the_protocol_gets_the_kinds_of_errors_that_it_acts_on() {
        let (_parent, directory) = directory();
        directory.create_dir("full").await.unwrap();
        directory.create_file("file").await.unwrap();
        let full = directory.open_dir("full").await.unwrap();
        full.create_file("entry").await.unwrap();
        directory.create_dir("other").await.unwrap();
        let not_found = Some(FsErrorKind::NotFound);
        assert_eq!(kind(directory.rename("missing", "new").await), not_found);
        assert_eq!(kind(directory.open_dir("missing").await), not_found);
        assert_eq!(kind(directory.open_file("missing", false).await), not_found);
        assert_eq!(kind(directory.modified("missing").await), not_found);
        let exists = Some(FsErrorKind::Exists);
        assert_eq!(kind(directory.create_dir("full").await), exists);
        assert_eq!(kind(directory.create_file("file").await), exists);
        let not_empty = Some(FsErrorKind::NotEmpty);
        assert_eq!(kind(directory.rename("other", "full").await), not_empty);
        assert_eq!(kind(directory.remove_dir("full").await), not_empty);
        let not_a_directory = Some(FsErrorKind::NotADirectory);
        assert_eq!(kind(directory.open_dir("file").await), not_a_directory);
        assert_eq!(kind(directory.remove_dir("file").await), not_a_directory);
    }

    #[tokio::test]
    async fn a_renamed_and_synced_entry_is_listed_under_its_new_name_only() {
        let (_parent, directory) = directory();
        directory.create_file("ticket.1").await.unwrap();
        directory.create_dir("below").await.unwrap();
        directory.rename("ticket.1", "ticket.2").await.unwrap();
        directory.sync_file("ticket.2").await.unwrap();
        directory.sync().await.unwrap();
        let mut entries = directory.list().await.unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let entries: Vec<_> = entries.iter().map(|it| (&*it.name, it.is_dir)).collect();
        assert_eq!(entries, [("below", true), ("ticket.2", false)]);
        assert!(directory.modified("ticket.2").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_write_replaces_the_start_of_a_file_and_keeps_the_rest_until_it_is_cut() {
        let (parent, directory) = directory();
        let path = parent.path().join("visits.bin");
        std::fs::write(&path, "0123456789").unwrap();
        let file = directory.open_file("visits.bin", true).await.unwrap();
        assert_eq!(file.size_when_opened(), 10);
        file.write(b"abcd").await.unwrap();
        assert_eq!(read(&path).unwrap(), b"abcd456789");
        file.truncate(8).await.unwrap();
        file.truncate(9).await.unwrap();
        assert_eq!(directory.read("visits.bin", 5).await.unwrap(), b"abcd4");
        assert_eq!(
            directory.read("visits.bin", 100).await.unwrap(),
            b"abcd4567"
        );
        let created = directory.open_file("new", true).await.unwrap();
        assert_eq!(created.size_when_opened(), 0);
    }

    #[tokio::test]
    async fn links_and_pipes_are_refused_without_waiting() {
        let (parent, directory) = directory();
        std::fs::write(parent.path().join("target"), "1").unwrap();
        std::fs::create_dir(parent.path().join("dir")).unwrap();
        symlink("target", parent.path().join("link")).unwrap();
        symlink("dir", parent.path().join("dir-link")).unwrap();
        let pipe = (FileType::Fifo, Mode::from_raw_mode(0o666));
        fs::mknodat(&*directory.0, "pipe", pipe.0, pipe.1, 0).unwrap();
        for name in ["link", "pipe", "dir"] {
            assert!(directory.open_file(name, true).await.is_err(), "{name}");
        }
        assert!(directory.read("pipe", 8).await.is_err());
        assert!(directory.read("link", 8).await.is_err());
        assert!(directory.open_dir("dir-link").await.is_err());
        assert!(directory.open_dir("pipe").await.is_err());
    }
}
