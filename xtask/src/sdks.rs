//! `cargo xtask sdks`: builds components as users of other SDKs would, from pinned packages of the registries.
//!
//! Each component has a directory in tests/guests/sdks with the lock file of its packages. It is built once for all
//! clones on a machine and kept under a name with a hash of its files (see [`cache`]).

use crate::command::quietly;
use crate::setup::{JAVASCRIPT, PYTHON, Packages};
use crate::workspace::GUEST_TARGET;
use crate::{cache, cargo, workspace};
use anyhow::{Context, Result, ensure};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use visits_support::{files, programs};

/// One of the components.
pub(crate) struct Sdk {
    /// Its directory below tests/guests/sdks, and the name of the wasm file that the tests find.
    name: &'static str,
    /// Its build tools, beside Rust.
    packages: Option<&'static Packages>,
    /// How long the build takes on two cores if no package is cached.
    takes: &'static str,
    /// Builds the wasm file in a copy of its directory and returns its path there.
    build: fn(&Path) -> Result<PathBuf>,
}

/// All of them.
pub(crate) const SDKS: [Sdk; 4] = [
    Sdk {
        name: "rust-5",
        packages: None,
        takes: "a minute",
        build: rust,
    },
    Sdk {
        name: "python-3",
        packages: Some(&PYTHON),
        takes: "half a minute",
        build: |directory| python(directory, "spin-http"),
    },
    Sdk {
        name: "python-5",
        packages: Some(&PYTHON),
        takes: "half a minute",
        build: |directory| python(directory, "spin:up/http-trigger@4.1.0"),
    },
    Sdk {
        name: "javascript-1",
        packages: Some(&JAVASCRIPT),
        takes: "a minute",
        build: javascript,
    },
];

/// Builds the components that no earlier run has built, and copies all of them to the clone's own directory. Continues
/// after a failure: the error names every component that was not built.
pub(crate) fn build() -> Result<()> {
    let directory = workspace::sdks()?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut errors = Vec::new();
    for sdk in &SDKS {
        let placed = directory.join(sdk.name).with_extension("wasm");
        // If the build fails, the tests must not run an earlier component.
        let _ = std::fs::remove_file(&placed);
        let built = sdk.built().and_then(|kept| files::copy(&kept, &placed));
        if let Err(error) = built {
            errors.push(format!("tests/guests/sdks/{}: {error:#}", sdk.name));
        }
    }
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

/// Returns the packages that builds need, of the components that no earlier run has built.
pub(crate) fn requirements() -> Vec<&'static Packages> {
    let unbuilt = SDKS.iter().filter(|sdk| {
        let kept = sdk.kept();
        !kept.is_ok_and(|wasm| wasm.is_file())
    });
    unbuilt.filter_map(|sdk| sdk.packages).collect()
}

impl Sdk {
    /// Returns the path at which the wasm file is kept.
    fn kept(&self) -> Result<PathBuf> {
        let key = key(&self.source())?;
        let name = format!("{}-{key}.wasm", self.name);
        Ok(cache::directory()?.join("sdks").join(name))
    }

    fn source(&self) -> PathBuf {
        workspace::root().join("tests/guests/sdks").join(self.name)
    }

    /// Returns the path of the kept wasm file, after building it if no earlier run has.
    fn built(&self) -> Result<PathBuf> {
        let wasm = self.kept()?;
        if wasm.is_file() {
            return Ok(wasm);
        }
        if let Some(packages) = self.packages {
            packages.prepare()?;
        }
        eprintln!("    {}: about {} the first time", self.name, self.takes);
        let start = Instant::now();
        let partial = wasm.with_added_extension(std::process::id().to_string());
        let built = files::copy_tree(&self.source(), &partial)
            .and_then(|()| (self.build)(&partial))
            .and_then(|built| files::copy(&built, &wasm));
        let _ = std::fs::remove_dir_all(&partial);
        built?;
        eprintln!(
            "    {}: built in {} s",
            self.name,
            start.elapsed().as_secs()
        );
        Ok(wasm)
    }
}

/// Returns a hash of everything that the component is built from.
fn key(source: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    cache::hash_files(source, &mut hasher)?;
    Ok(format!("{:016x}", hasher.finish()))
}

fn rust(directory: &Path) -> Result<PathBuf> {
    // Run at the repository's top, because the toolchain is pinned there.
    let mut build = cargo::command("build")?;
    build
        .args(["--release", "--target", GUEST_TARGET, "--manifest-path"])
        .arg(directory.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", directory.join("target"));
    quietly(&mut build)?;
    let built = directory.join("target").join(GUEST_TARGET);
    Ok(built.join("release/rust_5.wasm"))
}

fn python(directory: &Path, world: &str) -> Result<PathBuf> {
    let environment = directory.join("environment");
    let bin = environment.join("bin");
    quietly(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment),
    )?;
    quietly(
        Command::new(bin.join("python"))
            .args(["-m", "pip", "install", "--require-hashes", "--no-deps"])
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(directory.join("requirements.txt")),
    )?;
    quietly(
        Command::new(bin.join("componentize-py"))
            .args(["--world", world, "componentize", "app"])
            .args(["--output", "app.wasm"])
            .current_dir(directory)
            // It looks for the SDK in this directory, or as the first `python3` on the path does.
            .env("VIRTUAL_ENV", &environment)
            .env("PATH", programs::path_with(&[&bin])?),
    )?;
    Ok(directory.join("app.wasm"))
}

fn javascript(directory: &Path) -> Result<PathBuf> {
    // The packages' own scripts are not run, because they may download programs.
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    quietly(Command::new("npm").args(arguments).current_dir(directory))?;
    quietly(
        Command::new(directory.join("node_modules/.bin/j2w"))
            .args(["--input", "app.js", "--output", "app.wasm"])
            .current_dir(directory),
    )?;
    // j2w exits with 0 even if it fails.
    let wasm = directory.join("app.wasm");
    ensure!(wasm.is_file(), "j2w wrote no component");
    Ok(wasm)
}
