//! The sizes of what is released, if it was built.

use crate::single::Single;
use std::fs;
use std::path::Path;
use std::process::Command;
use visits_support::command;

/// Returns the sizes of the counter's image, which `make image` writes, and of the shim, which `make dist` builds.
pub(crate) fn measure(target: &Path) -> Vec<Single> {
    let single = |id, what: &str, unit, bytes: Option<u64>, per: f64| {
        Single::of(id, what, unit, vec![bytes? as f64 / per])
    };
    let toolbox = fs::metadata(target.join("toolbox.xz")).map_or(0, |file| file.len());
    let shim = shim(&target.join("dist")).map(|size| size.saturating_sub(toolbox));
    let image = largest(&target.join("image/oci/blobs/sha256"));
    let sizes = [
        single(
            "image",
            "size of the counter's image, its layer",
            "KiB",
            image,
            1024.0,
        ),
        single(
            "shim",
            "size of the shim without its tools for kubectl exec",
            "MB",
            shim,
            1e6,
        ),
    ];
    sizes.into_iter().flatten().collect()
}

/// Returns the size of the largest file in a directory.
fn largest(directory: &Path) -> Option<u64> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let sizes = entries.filter_map(|entry| Some(entry.metadata().ok()?.len()));
    sizes.max()
}

/// Returns the size of the shim in the archive that nodes download.
fn shim(directory: &Path) -> Option<u64> {
    let mut entries = fs::read_dir(directory).ok()?.flatten();
    let archive = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(".tar.gz"))?;
    let mut list = Command::new("tar");
    list.args(["--list", "--verbose", "--gzip", "--file"])
        .arg(archive.path());
    let list = command::run(list).ok()?;
    parse(&list)
}

/// Returns the size in the first line of tar's list: mode, owner, size, date, time, name.
fn parse(list: &str) -> Option<u64> {
    list.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_in_an_archive_is_the_third_column() {
        let list = "-rwxr-xr-x 0/0        43347392 1970-01-01 00:00 containerd-shim-preopen-v1\n";
        assert_eq!(parse(list), Some(43_347_392));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn only_what_was_built_has_a_size() {
        let target = tempfile::tempdir().expect("a directory");
        assert_eq!(measure(target.path()), []);
        let blobs = target.path().join("image/oci/blobs/sha256");
        fs::create_dir_all(&blobs).expect("it is created");
        fs::write(blobs.join("config"), [0; 10]).expect("it is written");
        fs::write(blobs.join("layer"), [0; 2048]).expect("it is written");
        let sizes = measure(target.path());
        assert_eq!(sizes.len(), 1);
        assert_eq!((sizes[0].id.as_str(), sizes[0].value), ("image", 2.0));
    }
}
