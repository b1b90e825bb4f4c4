//! A preopened directory on WASI 0.3's descriptors.

use crate::protocol::directory::{Directory, Entry, FsError, FsErrorKind, FsResult, OpenFile};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use wasi::wit_bindgen::StreamResult;
use wasi::wit_stream;

/// A directory that WASI has opened.
#[derive(Clone)]
pub struct WasiDirectory(Rc<Descriptor>);

/// Symbolic links are not followed, so that the count lies on the volume itself.
const NO_FOLLOW: PathFlags = PathFlags::empty();

impl WasiDirectory {
    /// Returns the directory behind an open descriptor.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        WasiDirectory(Rc::new(descriptor))
    }

    async fn open(
        &self,
        name: &str,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let opened = self.0.open_at(NO_FOLLOW, name.into(), open, flags).await;
        opened.map_err(error)
    }

    /// Opens a file, and returns its size, too. Refuses everything else before opening it: opening a FIFO waits for its
    /// other end, and with it everyone who counts.
    async fn open_plain(
        &self,
        name: &str,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<(Descriptor, u64)> {
        let size = match self.0.stat_at(NO_FOLLOW, name.into()).await {
            Ok(stat) => {
                only_file(stat.type_)?;
                stat.size
            }
            Err(ErrorCode::NoEntry) if open.contains(OpenFlags::CREATE) => 0,
            Err(code) => return Err(error(code)),
        };
        Ok((self.open(name, open, flags).await?, size))
    }
}

/// A file that WASI has opened for writing.
pub struct WasiFile {
    descriptor: Descriptor,
    size_when_opened: u64,
}

impl OpenFile for WasiFile {
    fn size_when_opened(&self) -> u64 {
        self.size_when_opened
    }

    async fn write(&self, bytes: &[u8]) -> FsResult<()> {
        let (mut writer, reader) = wit_stream::new();
        let written = self.descriptor.write_via_stream(reader, 0);
        let unwritten = writer.write_all(bytes.to_vec()).await;
        drop(writer);
        written.await.map_err(error)?;
        if !unwritten.is_empty() {
            return Err(other("the write ended early"));
        }
        Ok(())
    }

    async fn truncate(&self, size: u64) -> FsResult<()> {
        if self.descriptor.stat().await.map_err(error)?.size > size {
            self.descriptor.set_size(size).await.map_err(error)?;
        }
        Ok(())
    }
}

impl Directory for WasiDirectory {
    type File = WasiFile;

    async fn open_dir(&self, name: &str) -> FsResult<Self> {
        // A host may open a FIFO, and wait, before it finds that it is not a directory.
        let stat = self.0.stat_at(NO_FOLLOW, name.into()).await;
        if !matches!(stat.map_err(error)?.type_, DescriptorType::Directory) {
            return Err(error(ErrorCode::NotDirectory));
        }
        let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
        let opened = self.open(name, OpenFlags::DIRECTORY, flags).await?;
        Ok(WasiDirectory::new(opened))
    }

    async fn create_dir(&self, name: &str) -> FsResult<()> {
        self.0.create_directory_at(name.into()).await.map_err(error)
    }

    async fn create_file(&self, name: &str) -> FsResult<()> {
        let open = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        self.open(name, open, DescriptorFlags::WRITE)
            .await
            .map(drop)
    }

    async fn sync_file(&self, name: &str) -> FsResult<()> {
        let open = OpenFlags::empty();
        // For reading, because the file may be somebody else's.
        let (file, _) = self.open_plain(name, open, DescriptorFlags::READ).await?;
        file.sync().await.map_err(error)
    }

    async fn list(&self) -> FsResult<Vec<Entry>> {
        let (stream, result) = self.0.read_directory();
        let entries = stream.collect().await.into_iter().map(|entry| Entry {
            is_dir: matches!(entry.type_, DescriptorType::Directory),
            name: entry.name,
        });
        let entries = entries.collect();
        // If an entry is renamed during the listing, the stream may end early without an error (wasmtime before 50, which
        // stats each entry). Only this result has the error.
        result.await.map_err(error)?;
        Ok(entries)
    }

    async fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        self.rename_into(from, self, to).await
    }

    async fn rename_into(&self, from: &str, target: &Self, to: &str) -> FsResult<()> {
        let renamed = self.0.rename_at(from.into(), &target.0, to.into()).await;
        renamed.map_err(error)
    }

    async fn sync(&self) -> FsResult<()> {
        self.0.sync().await.map_err(error)
    }

    async fn read(&self, name: &str, limit: usize) -> FsResult<Vec<u8>> {
        let open = OpenFlags::empty();
        let (file, _) = self.open_plain(name, open, DescriptorFlags::READ).await?;
        let (mut stream, result) = file.read_via_stream(0);
        let mut content = Vec::new();
        while content.len() < limit {
            let (status, chunk) = stream.read(Vec::with_capacity(limit - content.len())).await;
            content.extend(chunk);
            if !matches!(status, StreamResult::Complete(_)) {
                break;
            }
        }
        drop(stream);
        result.await.map_err(error)?;
        Ok(content)
    }

    async fn open_file(&self, name: &str, create: bool) -> FsResult<WasiFile> {
        let open = if create {
            OpenFlags::CREATE
        } else {
            OpenFlags::empty()
        };
        let (descriptor, size_when_opened) =
            self.open_plain(name, open, DescriptorFlags::WRITE).await?;
        Ok(WasiFile {
            descriptor,
            size_when_opened,
        })
    }

    async fn modified(&self, name: &str) -> FsResult<Option<SystemTime>> {
        let stat = self
            .0
            .stat_at(NO_FOLLOW, name.into())
            .await
            .map_err(error)?;
        Ok(stat.data_modification_timestamp.and_then(|time| {
            let seconds = u64::try_from(time.seconds).ok()?;
            Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, time.nanoseconds))
        }))
    }

    async fn remove_file(&self, name: &str) -> FsResult<()> {
        self.0.unlink_file_at(name.into()).await.map_err(error)
    }

    async fn remove_dir(&self, name: &str) -> FsResult<()> {
        self.0.remove_directory_at(name.into()).await.map_err(error)
    }
}

/// Refuses everything but a regular file.
fn only_file(kind: DescriptorType) -> FsResult<()> {
    use DescriptorType::*;
    match kind {
        RegularFile => Ok(()),
        Directory => Err(error(ErrorCode::IsDirectory)),
        SymbolicLink => Err(error(ErrorCode::Loop)),
        // Not every host distinguishes these.
        Fifo | Socket | BlockDevice | CharacterDevice | Other(_) => Err(other(
            "not a file, but a FIFO, a socket or a device: remove it",
        )),
    }
}

/// Returns the error with its cause, and with a remedy if one is known.
fn error(code: ErrorCode) -> FsError {
    use FsErrorKind::*;
    let (kind, text) = match code {
        ErrorCode::NoEntry => (NotFound, "no such file or directory"),
        ErrorCode::Exist => (Exists, "file exists"),
        ErrorCode::NotEmpty => (NotEmpty, "directory not empty"),
        ErrorCode::NotDirectory => (NotADirectory, "not a directory"),
        ErrorCode::ReadOnly => (
            ReadOnly,
            "read-only file system (is the volume mounted read-only?)",
        ),
        ErrorCode::NotPermitted => (
            NotPermitted,
            "operation not permitted (is it immutable or append-only, which `lsattr` shows, or the volume given \
             read-only? `spin up` needs --allow-transient-write)",
        ),
        ErrorCode::Access => (
            Denied,
            "permission denied (does the volume belong to the user that the host runs as?)",
        ),
        ErrorCode::InsufficientSpace => (
            NoSpace,
            "no space left on device (the volume is full: remove something, or enlarge it)",
        ),
        ErrorCode::Quota => (
            NoSpace,
            "disk quota exceeded (the volume is full: remove something, or enlarge it)",
        ),
        ErrorCode::Io => (
            Io,
            "input/output error (is the volume mounted read-only, its disk failing, or the host out of file \
             descriptors?)",
        ),
        ErrorCode::IsDirectory => (Other, "it is a directory, not a file: remove it"),
        ErrorCode::Loop => (
            Other,
            "it is a symbolic link, which is not followed: remove it",
        ),
        ErrorCode::IllegalByteSequence => (
            Other,
            "the name of an entry is not UTF-8: remove it, or move it away",
        ),
        ErrorCode::Other(Some(text)) => return other(&text),
        code => return other(&format!("{code:?}")),
    };
    FsError {
        kind,
        text: text.into(),
    }
}

fn other(text: &str) -> FsError {
    FsError {
        kind: FsErrorKind::Other,
        text: text.into(),
    }
}
