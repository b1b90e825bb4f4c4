//! The images that the suites expect, under their usual names. Each holds this machine's busybox.

use anyhow::{Context, Result, bail};
use oci_writer::Image;
use std::path::Path;
use visits_tests::artifacts;

/// A web server whose processes look like nginx: the name, the title and the file with the process id.
const WEB: &str = "#!/bin/sh
mkdir -p /run /var/run
echo $$ > /var/run/nginx.pid
echo 'httpd -D FOREGROUND'
trap 'exit 0' TERM QUIT
httpd -f -p PORT -h /www &
wait
";

/// Writes an image as a layout directory. `programs` holds those of tests/conformance/go/images.
pub(crate) fn write(kind: &str, name: &str, programs: &Path, directory: &Path) -> Result<()> {
    let program = |image: Image, program: &str, mode| -> Result<Image> {
        let file = format!("/bin/{program}");
        Ok(image.file(file, read(&programs.join(program))?, mode))
    };
    let image = busybox(name)?;
    let image = match kind {
        "busybox" => image.entrypoint(["/bin/sh"]),
        "pause" => program(image, "pause", 0o755)?
            .entrypoint(["/bin/pause"])
            .user("65535:65535"),
        "web" => web(image, 80),
        "web-12003" => web(image, 12003),
        "nonewprivs" => program(image, "nonewprivs", 0o4755)?.entrypoint(["/bin/nonewprivs"]),
        "stress" => program(image, "stress", 0o755)?.entrypoint(["/bin/sleep", "1000000"]),
        user if user.starts_with("user:") => image
            .user(&user["user:".len()..])
            .entrypoint(["/bin/sleep", "1000000"]),
        other => bail!("{other}: no such kind of image"),
    };
    image.write_layout(directory).map(drop)
}

fn web(image: Image, port: u16) -> Image {
    let script = WEB.replace("PORT", &port.to_string());
    image
        .file("/bin/nginx", script, 0o755)
        .file("/www/index.html", "It works!\n", 0o644)
        .entrypoint(["/bin/nginx", "master process"])
}

/// Returns an image of this machine's busybox with a link for each of its applets, and some users.
fn busybox(name: &str) -> Result<Image> {
    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/usr/sbin:/bin/false
sys:x:3:3::/dev:/bin/false
default-user:x:1000:1000::/home/default-user:/bin/sh
www-data:x:33:33::/var/www:/bin/false
nobody:x:65534:65534::/home:/bin/false
";
    const GROUP: &str = "root:x:0:
daemon:x:1:
sys:x:3:
wheel:x:10:root
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nogroup:x:65534:
";
    let busybox = artifacts::busybox()?;
    let image = Image::new(name)
        .uncompressed()
        // A file of its own, because a test masks it.
        .file("/bin/ls", read(&busybox)?, 0o755)
        .file("/etc/passwd", PASSWD, 0o644)
        .file("/etc/group", GROUP, 0o644)
        // Debian's busybox lacks these applets.
        .file("/bin/pgrep", "#!/bin/sh\nexec pidof \"$@\"\n", 0o755)
        .file(
            "/bin/ipcs",
            "#!/bin/sh\nexec cat /proc/sysvipc/shm\n",
            0o755,
        )
        .file("/bin/bash", "#!/bin/sh\nexec sh \"$@\"\n", 0o755)
        // Its setuid bit is all that counts.
        .file("/usr/bin/passwd", "", 0o4755)
        .directory("/tmp", 0, 0, 0o1777)
        .directory("/root", 0, 0, 0o700)
        .env("PATH", "/bin");
    // A read-only root file system needs its mount points.
    let image = ["/dev", "/proc", "/run", "/sys"]
        .into_iter()
        .fold(image, |image, directory| {
            image.directory(directory, 0, 0, 0o755)
        });
    image.busybox(&busybox)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
