//! `preopen-dist`: writes the release for nodes: the shim's archive and checksum, and the installer as a script and as an
//! image. `cargo xtask dist` builds the programs in them and runs it.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use oci_writer::{Image, Platform, SourceDate};
use preopen_release::{Needs, Release};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use visits_support::process::exit_code;

/// The workspace's version, which is also the shim's.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The directory of the script and the archive in the image.
const HOME: &str = "/preopen";
/// The programs that the script calls. Each is an applet of busybox.
const PROGRAMS: &str = "awk cat chmod cmp cp cut date dirname grep gunzip head mkdir mktemp mv nsenter readlink rm rmdir \
                        sed sh sha256sum sleep sync tail tar timeout tr true uname wc";

/// Write the shim's release archive and the installer's image. SOURCE_DATE_EPOCH is the time in them (default: 0)
#[derive(Parser)]
#[command(name = "preopen-dist")]
struct Arguments {
    /// The path of the shim
    #[arg(long)]
    shim: PathBuf,
    /// The path of the script preopen-node
    #[arg(long)]
    script: PathBuf,
    /// The path of a statically linked preopen-label
    #[arg(long)]
    label: PathBuf,
    /// The path of a statically linked busybox
    #[arg(long)]
    busybox: PathBuf,
    /// The directory to write to
    output: PathBuf,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let date = SourceDate::from_environment()?;
    let platform = Platform::here().context("images support amd64 and arm64 alone")?;
    let shim = read(&arguments.shim)?;
    check_shim(&arguments.shim, &shim)?;
    let release = Release::pack(&shim, VERSION, platform, date)?;
    let output = std::path::absolute(&arguments.output)?;
    std::fs::create_dir_all(&output)
        .with_context(|| format!("cannot create {}", output.display()))?;
    release.write(&output)?;
    for (name, bytes) in release.files() {
        println!("{}  {} bytes", output.join(name).display(), bytes.len());
    }
    let script = output.join("preopen-node");
    std::fs::copy(&arguments.script, &script).with_context(|| {
        format!(
            "cannot copy {} to {}",
            arguments.script.display(),
            script.display()
        )
    })?;
    println!("{}", script.display());
    let path = output.join("preopen-node-oci.tar");
    let written = installer(arguments, &release)?
        .platform(platform)
        .created(date)
        .write_layout_tar(&path)?;
    println!(
        "{}  {} bytes  {}",
        path.display(),
        written.size,
        written.digest
    );
    Ok(())
}

/// Prints the libraries that the shim needs. Fails if libseccomp is one of them: few nodes have it.
fn check_shim(path: &Path, shim: &[u8]) -> Result<()> {
    let needs = needs(path, shim)?;
    let libraries = needs.libraries.join(", ");
    ensure!(
        !libraries.contains("libseccomp"),
        "{}: linked with the shared library libseccomp, which nodes do not have (install libseccomp.a, in Debian's \
         libseccomp-dev, and build again)",
        path.display()
    );
    match needs.glibc {
        Some((major, minor)) => {
            println!("the shim needs glibc {major}.{minor} or newer, with {libraries}");
        }
        None => println!("the shim needs no library"),
    }
    Ok(())
}

/// Returns the installer's image: the script, the programs that it calls, the archive, and preopen-label.
fn installer(arguments: &Arguments, release: &Release) -> Result<Image> {
    let program = |path: &Path| -> Result<Vec<u8>> {
        let bytes = read(path)?;
        let libraries = needs(path, &bytes)?.libraries;
        ensure!(
            libraries.is_empty(),
            "{} is not statically linked: the image lacks {}",
            path.display(),
            libraries.join(", ")
        );
        Ok(bytes)
    };
    let script = format!("{HOME}/preopen-node");
    let image = Image::new(format!("localhost/preopen-node:{VERSION}"))
        .entrypoint(["/bin/sh", &script])
        .env("PATH", "/bin")
        .file(script, read(&arguments.script)?, 0o755)
        .file("/bin/busybox", program(&arguments.busybox)?, 0o755)
        .file("/bin/preopen-label", program(&arguments.label)?, 0o755)
        .annotation("org.opencontainers.image.title", "preopen-node")
        .annotation("org.opencontainers.image.version", VERSION);
    let image = PROGRAMS.split_whitespace().fold(image, |image, name| {
        image.symlink(format!("/bin/{name}"), "busybox")
    });
    let files = release.files().into_iter();
    Ok(files.fold(image, |image, (name, bytes)| {
        image.file(format!("{HOME}/{name}"), bytes, 0o644)
    }))
}

fn needs(path: &Path, program: &[u8]) -> Result<Needs> {
    Needs::of(program).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
