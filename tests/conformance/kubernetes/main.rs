//! `kubernetes-images`: writes the images that Kubernetes' own tests run, under the names that these tests use, so that no
//! registry is needed. `cargo xtask conformance` builds and runs it.
//!
//! - `main`: the images
//! - `machine`: this machine's programs, with the libraries that they need

mod machine;

use anyhow::{Context, Result};
use clap::Parser;
use oci_writer::Image;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use visits_support::process::exit_code;

/// The shell of all images. busybox's own drops variables whose names it cannot use, and runs its own `nc` instead of Debian's.
const SHELL: &str = "bash";
/// The programs of agnhost that are not its own.
const TOOLS: [&str; 5] = [SHELL, "curl", "dig", "nc", "ss"];
/// The search path in an image.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The program of the pause image.
const PAUSE: &str = "#!/bin/sh
trap 'exit 0' TERM INT
/bin/sleep 2147483647 &
wait
";
/// The users. Tests of supplementary groups expect the last one and its group.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh
";
const GROUP: &str = "root:x:0:
www-data:x:33:
nobody:x:65534:
user-defined-in-image:x:1000:
group-defined-in-image:x:50000:user-defined-in-image
";

/// Write the images that Kubernetes' own tests run
#[derive(Parser)]
#[command(name = "kubernetes-images")]
struct Arguments {
    /// The directory with agnhost, the certificate in its image, and nonewprivs
    programs: PathBuf,
    /// A statically linked busybox
    busybox: PathBuf,
    /// The directory to write to
    output: PathBuf,
    /// The names of the images, as `e2e.test --list-images` prints them; those that no test of ours needs are left out
    names: Vec<String>,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    std::fs::create_dir_all(output)
        .with_context(|| format!("cannot create {}", output.display()))?;
    for name in &arguments.names {
        if let Some(image) = image(name, arguments)? {
            let file = name.replace(['/', ':'], "_") + ".tar";
            image.write_layout_tar(&output.join(file))?;
        }
    }
    Ok(())
}

/// Returns the image of this name, if it is one of those that the tests run.
fn image(name: &str, arguments: &Arguments) -> Result<Option<Image>> {
    let linux = |programs: &[&str]| linux(name, &arguments.busybox, programs);
    let file = |name: &str| read(&arguments.programs.join(name));
    let kind = name
        .rsplit_once(':')
        .map_or(name, |(repository, _)| repository);
    Ok(Some(match kind {
        "registry.k8s.io/e2e-test-images/agnhost" => linux(&TOOLS)?
            .file("/agnhost", file("agnhost")?, 0o755)
            // A test replaces the entry point by this name.
            .symlink("/agnhost-2", "agnhost")
            // Tests fetch this file from the image's web server.
            .file(
                "/localhost.crt",
                file("manifests/agnhost/localhost.crt")?,
                0o644,
            )
            .file(
                "/localhost.key",
                file("manifests/agnhost/localhost.key")?,
                0o644,
            )
            .directory("/uploads", 0, 0, 0o755)
            .entrypoint(["/agnhost"])
            .arguments(["pause"]),
        "registry.k8s.io/e2e-test-images/busybox" => linux(&[SHELL])?.arguments(["sh"]),
        // The tests that need it request nothing from it.
        "registry.k8s.io/e2e-test-images/nginx" => {
            linux(&[])?.entrypoint(["/bin/httpd", "-f", "-p", "80", "-h", "/var/www"])
        }
        "registry.k8s.io/e2e-test-images/nonroot" => {
            linux(&[SHELL])?.arguments(["sh"]).user("1234")
        }
        "registry.k8s.io/e2e-test-images/nonewprivs" => linux(&[SHELL])?
            .file("/usr/local/bin/nnp", file("nonewprivs")?, 0o6755)
            .arguments(["nnp"]),
        "registry.k8s.io/pause" => linux(&[])?
            .file("/pause", PAUSE, 0o755)
            .entrypoint(["/pause"])
            .user("65535:65535"),
        _ => return Ok(None),
    }))
}

/// Returns an image with what the tests expect of a small Linux: busybox as every command, these programs of the machine,
/// users, groups and directories.
fn linux(name: &str, busybox: &Path, programs: &[&str]) -> Result<Image> {
    let mut image = Image::new(name)
        .uncompressed()
        .file("/etc/passwd", PASSWD, 0o644)
        .file("/etc/group", GROUP, 0o644)
        .file("/etc/nsswitch.conf", "hosts: files dns\n", 0o644)
        .directory("/home", 0, 0, 0o755)
        .directory("/root", 0, 0, 0o700)
        .directory("/tmp", 0, 0, 0o1777)
        .directory("/var/www", 33, 33, 0o755)
        .env("PATH", PATH);
    for (path, bytes) in machine::programs(programs)? {
        image = image.file(path, bytes, 0o755);
    }
    if programs.contains(&SHELL) {
        image = image.symlink("/bin/sh", SHELL);
    }
    image.busybox(busybox)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
