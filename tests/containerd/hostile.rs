//! Images that try to run code in the shim's process before it has given up its rights.

use crate::container::Container;
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use tempfile::TempDir;
use visits_tests::get;

/// A library that makes a directory in /marker when it is loaded. It does not use the C library, so any process can load it.
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

/// An `/etc/nsswitch.conf` that names the library, the library, and the directory in which it leaves its mark.
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
            .context("cannot run cc: is a C compiler installed?")?;
        ensure!(built.success(), "the library was not built: {built}");
        Ok(Self { directory })
    }

    /// Returns the flags that mount these files over a container's own.
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

    /// Whether a process has loaded the library.
    fn sprung(&self) -> bool {
        self.directory.path().join("marker/loaded").exists()
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
        let mut builder = Container::of(image).flags(trap.flags()).flags(home);
        if image == images::NATIVE {
            builder = builder.command(["/tools/sh", "-c", "exec sleep 1000"]);
        }
        let container = builder.spawn_running().await?;
        ensure!(!trap.sprung(), "{image}, {home:?}: the library was loaded");
        let program = if image == images::NATIVE {
            "/tools/true"
        } else {
            "true"
        };
        container.exec([program]).run(&node).await?;
        ensure!(
            !trap.sprung(),
            "{image}, {home:?}: an exec loaded the library"
        );
    }
    Ok(())
}

/// The process that serves a component looks up the host names of its outbound requests.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
#[ignore = "needs root"]
async fn no_library_of_the_image_is_loaded_to_look_up_a_host() -> Result<()> {
    const CALLER: &str = "localhost/caller:test";
    let node = Node::shared().await?;
    let lines = "allowed_outbound_hosts = [\"http://*\"]";
    images::import(&images::probe_with(CALLER, lines)?).await?;
    let trap = Trap::set()?;
    let container = Container::of(CALLER).flags(trap.flags());
    let container = container.start(&node).await?;
    let reply = get(container.address(), "/outbound?url=http://nowhere.test/").await?;
    ensure!(!trap.sprung(), "the library was loaded: {}", reply.text());
    ensure!(reply.text().contains("DnsError"), "{}", reply.text());
    Ok(())
}
