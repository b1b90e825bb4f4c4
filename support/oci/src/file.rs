//! Files that are replaced as a whole.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;

/// Writes a file so that a reader sees the whole old one or the whole new one, never a part.
///
/// # Errors
/// If the directory cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        // The parent of a path of one name is "", which is not a directory.
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        // Temporary files are readable by their owner alone. Whoever may read the directory may read this one.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
