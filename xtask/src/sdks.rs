//! Components of other SDKs than this project's, built from pinned packages of the registries: what users bring.
//!
//! Each lies in tests/guests/sdks with the lock file of its packages. It is built once for every clone on a machine and
//! kept under a name that its files decide (see [`cache`]).

use crate::command::quietly;
use crate::setup::{JAVASCRIPT, PYTHON, Packages};
use crate::workspace::GUEST_TARGET;
use crate::{cache, cargo, workspace};
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One of the components.
pub(crate) struct Sdk {
    /// Its directory below tests/guests/sdks, and the name of the wasm file that the tests find.
    name: &'static str,
    /// What builds it beside Rust.
    packages: Option<&'static Packages>,
    /// How long that takes on two cores when no package is cached.
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

/// Builds those that are not there already and puts all of them into a directory of the clone's own. Goes on after a
/// failure: the error then names every one that was not built.
pub(crate) fn build() -> Result<()> {
    let directory = workspace::sdks()?;
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    let mut errors = Vec::new();
    for sdk in &SDKS {
        let placed = directory.join(sdk.name).with_extension("wasm");
        // Without this the tests would run what an earlier run has built.
        let _ = std::fs::remove_file(&placed);
        let built = sdk
            .built()
            .and_then(|kept| workspace::copy_atomically(&kept, &placed));
        if let Err(error) = built {
            errors.push(format!("tests/guests/sdks/{}: {error:#}", sdk.name));
        }
    }
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

impl Sdk {
    /// Returns the path of the kept wasm file, after building it if it is not there.
    fn built(&self) -> Result<PathBuf> {
        let source = workspace::root().join("tests/guests/sdks").join(self.name);
        let kept = cache::directory()?.join("sdks");
        let name = format!("{}-{}", self.name, key(&source)?);
        let wasm = kept.join(&name).with_extension("wasm");
        if wasm.is_file() {
            return Ok(wasm);
        }
        if let Some(packages) = self.packages {
            packages.prepare()?;
        }
        eprintln!("    {}: about {} the first time", self.name, self.takes);
        let start = Instant::now();
        let partial = kept.join(format!("{name}.{}", std::process::id()));
        let built = cache::copy_files(&source, &partial)
            .and_then(|()| (self.build)(&partial))
            .and_then(|built| workspace::copy_atomically(&built, &wasm));
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

/// Returns a name for everything that the component is built from.
fn key(source: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    cache::hash_files(source, &mut hasher)?;
    Ok(format!("{:016x}", hasher.finish()))
}

fn rust(directory: &Path) -> Result<PathBuf> {
    // From the repository's top, where the toolchain is pinned.
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
    let programs = environment.join("bin");
    quietly(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment),
    )?;
    quietly(
        Command::new(programs.join("python"))
            .args(["-m", "pip", "install", "--require-hashes", "--no-deps"])
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(directory.join("requirements.txt")),
    )?;
    quietly(
        Command::new(programs.join("componentize-py"))
            .args(["--world", world, "componentize", "app"])
            .args(["--output", "app.wasm"])
            .current_dir(directory)
            // It looks for the SDK where this says, and else where the first `python3` on the path does.
            .env("VIRTUAL_ENV", &environment)
            .env("PATH", path_with(&programs)?),
    )?;
    Ok(directory.join("app.wasm"))
}

fn javascript(directory: &Path) -> Result<PathBuf> {
    // Without the packages' own scripts, which may download programs.
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    quietly(Command::new("npm").args(arguments).current_dir(directory))?;
    quietly(
        Command::new(directory.join("node_modules/.bin/j2w"))
            .args(["--input", "app.js", "--output", "app.wasm"])
            .current_dir(directory),
    )?;
    // It reports a failure and exits with 0.
    let wasm = directory.join("app.wasm");
    ensure!(wasm.is_file(), "j2w has written no component");
    Ok(wasm)
}

/// Returns the path with this directory before all others.
fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(directories).context("the PATH")
}
