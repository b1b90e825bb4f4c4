//! Programs of crates.io that are built from source once for all clones on a machine.

use crate::{cache, cargo, command};
use anyhow::Result;
use std::path::PathBuf;

/// One version of a package with a program of the same or another name.
pub(crate) struct Program<'a> {
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    pub(crate) name: &'a str,
    /// The features that replace the package's default ones, if not those are built.
    pub(crate) features: Option<&'a [&'a str]>,
    /// How long the build takes on two cores.
    pub(crate) duration: &'a str,
}

impl Program<'_> {
    /// Builds the program if no earlier run on this machine has, and returns its path.
    pub(crate) fn install(&self) -> Result<PathBuf> {
        let Self {
            package, version, ..
        } = self;
        let directory = cache::directory()?.join("cargo").join(self.directory());
        let directory = cache::filled(directory, |partial| {
            eprintln!(
                "building {package} {version} from source: {} the first time",
                self.duration
            );
            let mut install = cargo::command("install")?;
            install
                .args(["--quiet", "--no-track", "--version", version, "--root"])
                .arg(partial)
                .arg(package)
                // Otherwise its build artifacts would stay in this repository's target directory.
                .env_remove("CARGO_TARGET_DIR");
            if let Some(features) = self.features {
                install.args(["--no-default-features", "--features", &features.join(",")]);
            }
            command::run(install)
        })?;
        Ok(directory.join("bin").join(self.name))
    }

    /// Returns the name of its directory. Another choice of features has another one.
    fn directory(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let (package, version) = (self.package, self.version);
        let Some(features) = self.features else {
            return format!("{package}-{version}");
        };
        let mut hasher = DefaultHasher::new();
        features.hash(&mut hasher);
        format!("{package}-{version}-{:08x}", hasher.finish() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_of_features_has_a_directory_of_its_own() {
        let with = |features| {
            let program = Program {
                package: "a",
                version: "1.0.0",
                name: "a",
                features,
                duration: "",
            };
            program.directory()
        };
        assert_eq!(with(None), "a-1.0.0");
        assert_ne!(with(Some(&["x"][..])), with(Some(&["y"][..])));
        assert_ne!(with(Some(&[][..])), with(None));
    }
}
