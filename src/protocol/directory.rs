//! What the protocol asks of a directory: the few calls of WASI that it stands on.
//!
//! A trait, so that the very same protocol runs on WASI (`wasi::directory`) and, in tests, on a simulated volume.

use std::fmt;
use std::time::SystemTime;

/// Why a call on a directory failed. Only the kinds that the protocol or an operator's hint tells apart have a
/// variant of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsErrorKind {
    /// No entry of that name (`ENOENT`).
    NotFound,
    /// The name is taken (`EEXIST`).
    Exists,
    /// A directory that would be replaced or removed holds entries (`ENOTEMPTY`).
    NotEmpty,
    /// A directory was asked for and something else is there (`ENOTDIR`).
    NotADirectory,
    /// The file system allows no writes (`EROFS`).
    ReadOnly,
    /// Not a matter of permissions (`EPERM`): an immutable or append-only file, or a preopen that the runtime keeps
    /// read-only.
    NotPermitted,
    /// The permissions of the entry or its directory forbid it (`EACCES`).
    Denied,
    /// The volume, or the quota on it, is full (`ENOSPC`, `EDQUOT`).
    NoSpace,
    /// An I/O error (`EIO`). Also what wasmtime 50 makes of `EROFS`, so a read-only mount may hide behind it.
    Io,
    /// Anything else: a vanished device, a stale handle.
    Other,
}

/// A failed call on a directory: its kind, and the system's words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsError {
    /// What the protocol decides by.
    pub kind: FsErrorKind,
    /// What a person reads, e.g. `read-only file system`.
    pub text: String,
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for FsError {}

/// The result of a call on a directory.
pub type FsResult<T> = Result<T, FsError>;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
}

/// An open directory. Names are single path segments; a clone is another handle to the same directory.
///
/// The futures need not be `Send`: a component has one thread, and the tests run on one.
#[allow(
    async_fn_in_trait,
    reason = "used with generics only, on one thread: no bound is ever needed on the futures"
)]
pub trait Directory: Clone + 'static {
    /// A file of such a directory.
    type File: OpenFile;

    /// Opens the directory `name` in this one.
    async fn open_dir(&self, name: &str) -> FsResult<Self>;

    /// Makes the directory `name`; [`FsErrorKind::Exists`] if anything has that name.
    async fn create_dir(&self, name: &str) -> FsResult<()>;

    /// Makes the empty file `name`; [`FsErrorKind::Exists`] if anything has that name.
    async fn create_file(&self, name: &str) -> FsResult<()>;

    /// Makes the file `name` itself survive a power cut; its name in this directory needs [`Directory::sync`].
    async fn sync_file(&self, name: &str) -> FsResult<()>;

    /// All entries. An error means that the listing may be incomplete, whatever was seen; and even without one an
    /// entry that is renamed meanwhile may show under both of its names, or neither.
    async fn list(&self) -> FsResult<Vec<Entry>>;

    /// Renames an entry of this directory to `to` in `target`, replacing a file or an empty directory.
    async fn rename(&self, from: &str, target: &Self, to: &str) -> FsResult<()>;

    /// Makes all renames, creations and removals in this directory survive a power cut.
    async fn sync(&self) -> FsResult<()>;

    /// Reads the file `name`, but no more than `limit` bytes of it.
    async fn read(&self, name: &str, limit: usize) -> FsResult<Vec<u8>>;

    /// Opens the file `name` for writing, and makes it first if it is missing and `create` says so. Nothing is
    /// written or cut off by that.
    async fn open_file(&self, name: &str, create: bool) -> FsResult<Self::File>;

    /// When the file `name` was last written to, where the file system keeps that; an error if there is none.
    async fn modified(&self, name: &str) -> FsResult<Option<SystemTime>>;

    /// Removes the file `name`.
    async fn remove_file(&self, name: &str) -> FsResult<()>;

    /// Removes the directory `name`, which must be empty.
    async fn remove_dir(&self, name: &str) -> FsResult<()>;
}

/// A file that is open for writing.
#[allow(async_fn_in_trait, reason = "as for `Directory`")]
pub trait OpenFile: 'static {
    /// Returns the file's size in bytes when it was opened; 0 if it was made then.
    fn size_when_opened(&self) -> u64;

    /// Writes all of `bytes` at offset 0, in one write: readers see what was there before or what is there after.
    async fn write(&self, bytes: &[u8]) -> FsResult<()>;

    /// Cuts off whatever there is beyond `size` bytes.
    async fn truncate(&self, size: u64) -> FsResult<()>;
}
