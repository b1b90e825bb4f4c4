//! The images of the tests, made with the crate that makes the counter's image.

use crate::ctr;
use anyhow::{Context, Result};
use oci_writer::Image;
use std::path::Path;
use visits_tests::{artifacts, command, handwritten};

/// The counter, laid out as in the project's image.
pub(crate) const VISITS: &str = "localhost/visits:test";
/// The path of the volume in the counter's image.
pub(crate) const VISITS_VOLUME: &str = "/app/persistent";
/// A component that misbehaves on request, with two volumes.
pub(crate) const PROBE: &str = "localhost/probe:test";
/// The smallest component: it answers `hello`.
pub(crate) const HELLO: &str = "localhost/hello:test";
/// Native code: busybox under several names. The entrypoint runs its argument as a line of shell.
pub(crate) const NATIVE: &str = "localhost/native:test";
/// The smallest component, with WASI commands and native programs in the image.
pub(crate) const COMMANDS: &str = "localhost/commands:test";
/// The pause container, which holds a pod's namespaces until SIGTERM.
pub(crate) const PAUSE: &str = "localhost/pause:test";

/// The user of the counter's image.
pub(crate) const USER: u32 = 65532;

/// The containerd namespace of Kubernetes.
pub(crate) const KUBERNETES: &str = "k8s.io";

/// Makes all images and imports them into containerd.
pub(crate) async fn import_all() -> Result<()> {
    for image in [
        visits()?,
        probe()?,
        hello()?,
        commands()?,
        native()?,
        pause()?,
    ] {
        import(&image).await?;
    }
    Ok(())
}

/// Imports an image into containerd, for `ctr` and for pods.
pub(crate) async fn import(image: &Image) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tar = directory.path().join("image.tar");
    image.write_layout_tar(&tar)?;
    for namespace in [ctr::NAMESPACE, KUBERNETES] {
        let mut import = ctr::command(namespace, ["images", "import"])?;
        import.arg(&tar);
        command::run_beside(import).await?;
    }
    Ok(())
}

/// Returns an image with a component, `component.wasm`, and this manifest.
pub(crate) fn component(name: &str, manifest: &str, wasm: &[u8]) -> Image {
    Image::new(name)
        .entrypoint(["/app/spin.toml"])
        .working_directory("/app")
        .user(format!("{USER}:{USER}"))
        .file("/app/spin.toml", manifest, 0o644)
        .file("/app/component.wasm", wasm, 0o644)
}

/// Returns a manifest with one component on every route and these lines at the end of its table.
pub(crate) fn manifest(lines: &str) -> String {
    format!(
        "spin_manifest_version = 2\n\n[application]\nname = \"app\"\n\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"app\"\n\n\
         [component.app]\nsource = \"component.wasm\"\n{lines}\n"
    )
}

/// Returns the counter's image.
pub(crate) fn visits() -> Result<Image> {
    let files = "files = [{ source = \"persistent\", destination = \"/app/persistent\" }]";
    let image = component(VISITS, &manifest(files), &read(&artifacts::visits_wasm()?)?);
    Ok(image
        .entrypoint(["/app/spin.toml", "--startup-check", "/healthz"])
        .directory(VISITS_VOLUME, USER, USER, 0o755))
}

fn probe() -> Result<Image> {
    let lines = "files = [\n\
                 \x20 { source = \"one\", destination = \"/one\" },\n\
                 \x20 { source = \"two\", destination = \"/data/two\" },\n]\n\
                 environment = { LISTED = \"from the manifest\", KEPT = \"from the manifest\" }";
    Ok(probe_with(PROBE, lines)?
        .directory("/app/one", USER, USER, 0o755)
        .directory("/app/two", USER, USER, 0o755))
}

/// Returns an image of the component that misbehaves, with these lines in its manifest.
pub(crate) fn probe_with(name: &str, lines: &str) -> Result<Image> {
    Ok(component(
        name,
        &manifest(lines),
        &read(&artifacts::probe_wasm()?)?,
    ))
}

fn hello() -> Result<Image> {
    Ok(component(
        HELLO,
        &manifest(""),
        &read(&artifacts::hello_wasm()?)?,
    ))
}

/// The output and the exit code of the WASI preview 1 command in [`COMMANDS`].
pub(crate) const CORE: (&str, u8) = ("a core module\n", 142);

fn commands() -> Result<Image> {
    let component = read(&artifacts::hello_wasm()?)?;
    let (text, code) = CORE;
    let image = self::component(COMMANDS, &manifest(""), &component)
        .directory("/app/data", USER, USER, 0o755)
        .file("/bin/command", read(&artifacts::command_wasm()?)?, 0o755)
        .file("/bin/core", handwritten::core_command(text, code), 0o755)
        .file("/bin/server", component, 0o755)
        .file("/bin/broken", b"\0asm\x0d\0\x01\0 and no more", 0o755)
        .file("/bin/plain", "no program", 0o644)
        .file("/bin/busybox", read(&artifacts::busybox()?)?, 0o755)
        .symlink("/opt/wc", "../bin/busybox")
        .symlink("/opt/link", "/bin/command");
    Ok(image.env("PATH", "/opt:/bin"))
}

/// Returns the native image. busybox takes the program from the name by which it is started.
fn native() -> Result<Image> {
    native_as(NATIVE)
}

/// Returns the native image under another name, so that a test can add to it.
pub(crate) fn native_as(name: &str) -> Result<Image> {
    let busybox = read(&artifacts::busybox()?)?;
    let image = Image::new(name)
        .entrypoint(["/tools/sh", "-c"])
        .env("PATH", "/tools")
        .directory("/tmp", 0, 0, 0o777);
    let names = ["sh", "sleep", "env", "httpd", "cat", "chown", "ls", "mknod"];
    let links = [
        "chmod", "dd", "echo", "false", "head", "id", "pwd", "readlink", "rm", "stty", "true",
        "tty", "wc", "yes",
    ];
    let image = links.iter().fold(image, |image, name| {
        image.symlink(format!("/tools/{name}"), "sh")
    });
    let image = names.iter().fold(image, |image, name| {
        image.file(format!("/tools/{name}"), busybox.clone(), 0o755)
    });
    Ok(image.file("/tools/plain", "no program", 0o644))
}

fn pause() -> Result<Image> {
    let wait = "trap 'exit 0' TERM; /tools/sleep 2147483647 & wait";
    let busybox = read(&artifacts::busybox()?)?;
    Ok(Image::new(PAUSE)
        .entrypoint(["/tools/sh", "-c", wait])
        .file("/tools/sh", busybox.clone(), 0o755)
        .file("/tools/sleep", busybox, 0o755))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
