//! The library as a caller uses it, with applications that need no compiled component.

use super::*;
use crate::limits::MemoryLimit;
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;

/// A static response on `/`, and these lines.
fn manifest(lines: &str) -> Manifest {
    let text = format!(
        "spin_manifest_version = 2\napplication.name = \"app\"\n\
         [[trigger.http]]\nroute = \"/\"\nstatic_response.body = \"hello\"\n{lines}"
    );
    Manifest::parse("/nowhere/spin.toml".as_ref(), &text).expect("a manifest")
}

fn component(lines: &str) -> Manifest {
    manifest(&format!(
        "[[trigger.http]]\nroute = \"/component\"\ncomponent = \"one\"\n\
         [component.one]\nsource = \"missing.wasm\"\n{lines}"
    ))
}

/// More connections than a process may have files open.
fn too_many_connections() -> Limits {
    Limits {
        connections: Some(usize::MAX),
        ..Limits::default()
    }
}

fn error(builder: HostBuilder) -> Error {
    builder.load().expect_err("it must be refused")
}

#[test]
fn each_error_is_of_the_kind_that_a_caller_can_mend() {
    let missing = Manifest::read("/nowhere/spin.toml".as_ref());
    assert!(matches!(missing, Err(Error::Manifest(_))), "{missing:?}");
    let volume = error(Host::builder(component(
        "files = [{ source = \"data\", destination = \"/data\" }]",
    )));
    assert!(matches!(volume, Error::Volume(_)), "{volume:?}");
    let source = error(Host::builder(manifest("")).source("data", "/"));
    assert!(matches!(source, Error::Volume(_)), "{source:?}");
    let variable = manifest("[variables]\nneeded_here = { required = true }");
    let variable = error(Host::builder(variable));
    assert!(matches!(variable, Error::Variable(_)), "{variable:?}");
    let environment = error(Host::builder(component("")).environment("A=B", ""));
    assert!(matches!(environment, Error::Variable(_)), "{environment:?}");
    let component = error(Host::builder(component("")));
    assert!(matches!(component, Error::Component(_)), "{component:?}");
    let authorities = Authorities {
        more: vec!["/nowhere/ca.pem".into()],
        ..Authorities::default()
    };
    let authorities = error(Host::builder(manifest("")).authorities(authorities));
    assert!(
        matches!(authorities, Error::Authorities(_)),
        "{authorities:?}"
    );
    let check = error(Host::builder(manifest("")).startup_check("/"));
    assert!(matches!(check, Error::StartupCheck(_)), "{check:?}");
}

#[test]
fn a_limit_that_cannot_be_met_is_an_error() {
    let connections = error(Host::builder(manifest("")).limits(too_many_connections()));
    assert!(matches!(connections, Error::Limits(_)), "{connections:?}");
    static CONTAINER: AtomicU64 = AtomicU64::new(1 << 20);
    let limits = Limits {
        memory: MemoryLimit::BelowContainer(&CONTAINER),
        ..Limits::default()
    };
    let memory = error(Host::builder(manifest("")).limits(limits));
    assert!(matches!(memory, Error::Limits(_)), "{memory:?}");
}

#[test]
fn connections_are_not_checked_if_the_limit_of_open_files_is_kept() {
    let builder = Host::builder(manifest("")).limits(too_many_connections());
    let host = builder.keep_open_files_limit().load().expect("a host");
    assert_eq!(host.name(), "app");
}

#[test]
fn a_cache_that_others_can_write_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().expect("a directory");
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), all).expect("ours");
    let cache = Cache::open(directory.path());
    assert!(matches!(cache, Err(Error::Cache(_))), "{cache:?}");
}
