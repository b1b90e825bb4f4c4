//! Images that try to run code of their own before their container is confined.

use crate::container::{Container, Runtime};
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use visits_tests::get;

/// Leaves a file in /marker when it is loaded. Without the C library, so that it loads into any process.
const LIBRARY: &str = r#"
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
__attribute__((constructor)) static void loaded(void) {
    call(85, (long)"/marker/loaded", 0666, 0);
}
"#;

/// An `/etc/nsswitch.conf` that names the library, the library, and the directory in which it would leave its mark.
struct Trap {
    directory: TempDir,
}

impl Trap {
    fn set() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let services = "passwd: evil\ngroup: evil\nhosts: evil\n";
        std::fs::write(path("nsswitch.conf"), services)?;
        std::fs::write(path("library.c"), LIBRARY)?;
        std::fs::create_dir(path("marker"))?;
        std::os::unix::fs::chown(path("marker"), Some(images::USER), Some(images::USER))?;
        let built = Command::new("cc")
            .args(["-shared", "-nostdlib", "-fPIC", "-o"])
            .args([path("libnss_evil.so.2"), path("library.c")])
            .status()
            .context("run the C compiler")?;
        ensure!(built.success(), "the library is not built: {built}");
        Ok(Self { directory })
    }

    /// Returns the flags that mount it over a container's files.
    fn flags(&self) -> Vec<String> {
        let mount = |name: &str, to: &str| {
            let from = self.directory.path().join(name);
            format!("type=bind,src={},dst={to},options=bind", from.display())
        };
        let library = "libnss_evil.so.2";
        let mounts = [
            mount("nsswitch.conf", "/etc/nsswitch.conf"),
            mount(library, &format!("/lib/x86_64-linux-gnu/{library}")),
            mount(library, &format!("/lib/{library}")),
            mount("marker", "/marker"),
        ];
        let flags = mounts.map(|mount| ["--mount".to_owned(), mount]);
        flags.into_iter().flatten().collect()
    }

    fn sprung(&self) -> bool {
        Path::new(&self.directory.path().join("marker/loaded")).exists()
    }
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
#[ignore = "needs root"]
async fn no_library_of_the_image_is_loaded_to_look_up_a_user() -> Result<()> {
    let node = Node::shared().await?;
    for (image, home) in [
        (images::NATIVE, None),
        (images::NATIVE, Some("--env=HOME=")),
        (images::VISITS, None),
        (images::VISITS, Some("--env=HOME=")),
    ] {
        let trap = Trap::set()?;
        let mut builder = Container::of(image).runtime(Runtime::Preopen);
        for flag in trap.flags().into_iter().chain(home.map(str::to_owned)) {
            builder = builder.flag(flag);
        }
        if image == images::NATIVE {
            builder = builder.command(["/tools/sh", "-c", "exec sleep 1000"]);
        }
        let container = builder.spawn().await?;
        container.runs().await?;
        ensure!(!trap.sprung(), "{image}, {home:?}: the library was loaded");
        let program = if image == images::NATIVE {
            "/tools/true"
        } else {
            "true"
        };
        container.exec([program]).run(&node).await?;
        ensure!(!trap.sprung(), "{image}, {home:?}: by an exec");
    }
    Ok(())
}

/// A component may send requests; the name of a host is looked up in the process that serves it.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
#[ignore = "needs root"]
async fn no_library_of_the_image_is_loaded_to_look_up_a_host() -> Result<()> {
    const CALLER: &str = "localhost/caller:test";
    let node = Node::shared().await?;
    let lines = "allowed_outbound_hosts = [\"http://*\"]";
    images::import(&images::probe_with(CALLER, lines)?).await?;
    let trap = Trap::set()?;
    let mut builder = Container::of(CALLER);
    for flag in trap.flags() {
        builder = builder.flag(flag);
    }
    let container = builder.start(&node).await?;
    let reply = get(container.address(), "/outbound?url=http://nowhere.test/").await?;
    ensure!(!trap.sprung(), "the library was loaded: {}", reply.text());
    ensure!(reply.text() != "200\n", "there is no such host");
    Ok(())
}
