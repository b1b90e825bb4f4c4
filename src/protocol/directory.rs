//! What the protocol needs of a directory: a few calls of WASI.
//!
//! They are a trait, so that the same protocol runs on WASI ([`crate::wasi`]) and, in tests, on a simulated volume.

use std::fmt;
use std::time::SystemTime;

/// Why a call on a directory failed. The protocol acts on the first four; the others are for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FsErrorKind {
    /// No entry has that name (`ENOENT`).
    NotFound,
    /// The name is taken (`EEXIST`).
    Exists,
    /// A directory that would be replaced or removed holds entries (`ENOTEMPTY`).
    NotEmpty,
    /// The entry is not a directory, and the call needs one (`ENOTDIR`).
    NotADirectory,
    /// The file system is read-only (`EROFS`).
    ReadOnly,
    /// Something other than permissions forbids it (`EPERM`): the file is immutable or append-only, or the runtime keeps
    /// the preopen read-only.
    NotPermitted,
    /// The permissions of the entry or of its directory forbid it (`EACCES`).
    Denied,
    /// The volume is full, or the quota on it (`ENOSPC`, `EDQUOT`).
    NoSpace,
    /// An I/O error (`EIO`). wasmtime 50 reports `EROFS` as one, too.
    Io,
    /// Any other error: a vanished device, a stale handle.
    Other,
}

/// A failed call on a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FsError {
    /// The kind, which the protocol acts on.
    pub kind: FsErrorKind,
    /// The cause, with a remedy if there is one, such as `read-only file system (is the volume mounted read-only?)`.
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
}

/// An open directory. Names are single path segments; a clone is another handle to the same directory.
#[allow(
    async_fn_in_trait,
    reason = "used with generics only, on one thread: no bound is ever needed on the futures"
)]
pub trait Directory: Clone + 'static {
    /// A file of such a directory, open for writing.
    type File: OpenFile;

    /// Opens the directory `name` in this one.
    async fn open_dir(&self, name: &str) -> FsResult<Self>;

    /// Creates the directory `name`. Returns [`FsErrorKind::Exists`] if anything has that name.
    async fn create_dir(&self, name: &str) -> FsResult<()>;

    /// Creates the empty file `name`. Returns [`FsErrorKind::Exists`] if anything has that name.
    async fn create_file(&self, name: &str) -> FsResult<()>;

    /// Makes the content of the file `name` survive a power cut. Its name needs [`Directory::sync`].
    async fn sync_file(&self, name: &str) -> FsResult<()>;

    /// Lists all entries. An error means that the listing may be incomplete. Even without an error, an entry that is
    /// renamed during the call may show under either of its names, both, or neither.
    async fn list(&self) -> FsResult<Vec<Entry>>;

    /// Renames the entry `from` to `to`, which replaces a file or an empty directory.
    async fn rename(&self, from: &str, to: &str) -> FsResult<()>;

    /// Renames the entry `from` to `to` in another directory of the same volume, which replaces a file.
    async fn rename_into(&self, from: &str, target: &Self, to: &str) -> FsResult<()>;

    /// Makes all renames, creations and removals in this directory survive a power cut.
    async fn sync(&self) -> FsResult<()>;

    /// Reads at most `limit` bytes of the file `name`.
    async fn read(&self, name: &str, limit: usize) -> FsResult<Vec<u8>>;

    /// Opens the file `name` for writing and leaves its content as it is. If `create` is set, creates a missing file.
    async fn open_file(&self, name: &str, create: bool) -> FsResult<Self::File>;

    /// Returns when the file `name` was last written to; `None` if the file system does not keep that.
    async fn modified(&self, name: &str) -> FsResult<Option<SystemTime>>;

    /// Removes the file `name`.
    async fn remove_file(&self, name: &str) -> FsResult<()>;

    /// Removes the empty directory `name`.
    async fn remove_dir(&self, name: &str) -> FsResult<()>;
}

/// A file that is open for writing.
#[allow(async_fn_in_trait, reason = "as for `Directory`")]
pub trait OpenFile: 'static {
    /// Returns the file's size in bytes when it was opened, 0 for a file that was created then.
    fn size_when_opened(&self) -> u64;

    /// Writes all of `bytes` at offset 0, in one write: readers see the content before it or the content after it.
    async fn write(&self, bytes: &[u8]) -> FsResult<()>;

    /// Cuts off everything beyond `size` bytes.
    async fn truncate(&self, size: u64) -> FsResult<()>;
}
