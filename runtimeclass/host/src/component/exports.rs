//! Finds the handler that a component exports. Versions are compared here, because wasmtime would only report a missing
//! export, and because a release candidate is a different interface from the release of the same number.

use anyhow::{Result, bail};
use semver::{Version, VersionReq};

/// The interface of WASI 0.3 that handles requests.
const P3: &str = "wasi:http/handler";

/// The interface of WASI 0.2 that handles requests.
const P2: &str = "wasi:http/incoming-handler";

/// The export that this host calls for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    /// `wasi:http/incoming-handler` of WASI 0.2.
    P2,
    /// `wasi:http/handler` of WASI 0.3.
    P3,
}

impl Handler {
    /// Returns the handler among these exports. WASI 0.3 wins over 0.2, because one instance of it answers many requests at
    /// once. If this host can call no export, the error names the remedy.
    pub(super) fn of(exports: &[&str]) -> Result<Self> {
        let is = |interface, required| {
            exports
                .iter()
                .any(|export| compatible(export, interface, required))
        };
        if is(P3, "0.3") {
            return Ok(Self::P3);
        }
        if is(P2, "0.2") {
            return Ok(Self::P2);
        }
        refuse(exports)
    }
}

/// Returns whether the export is this interface in a version that the requirement allows. Release candidates are
/// never allowed.
fn compatible(export: &str, interface: &str, required: &str) -> bool {
    let (Some(version), Ok(required)) = (version(export, interface), VersionReq::parse(required))
    else {
        return false;
    };
    Version::parse(version).is_ok_and(|version| required.matches(&version))
}

/// Returns the version of an export if it is this interface.
fn version<'a>(export: &'a str, interface: &str) -> Option<&'a str> {
    let rest = export.strip_prefix(interface)?;
    match rest.strip_prefix('@') {
        Some(version) => Some(version),
        None => rest.is_empty().then_some("no version"),
    }
}

/// Fails with what was found and what is needed.
fn refuse(exports: &[&str]) -> Result<Handler> {
    let find = |interface| {
        exports
            .iter()
            .find(|export| version(export, interface).is_some())
    };
    for (interface, needed) in [(P3, "0.3.0"), (P2, "0.2.0 or a later 0.2")] {
        if let Some(export) = find(interface) {
            let found = version(export, interface).unwrap_or_default();
            let kind = match Version::parse(found) {
                Ok(version) if !version.pre.is_empty() => "a release candidate",
                _ => "which this host cannot call",
            };
            bail!(
                "the component exports {interface}@{found}, {kind}: rebuild it with an SDK for {interface}@{needed}, \
                 for example spin-sdk 7 for Rust or spin-sdk 5 for Python"
            );
        }
    }
    if let Some(export) = find("fermyon:spin/inbound-http") {
        bail!(
            "the component exports {export}, the handler of Spin 1: rebuild it with an SDK for {P3}@0.3.0 or \
             {P2}@0.2, for example spin-sdk 7 or 5 for Rust"
        );
    }
    if let Some(export) = find("wasi:cli/run") {
        bail!(
            "the component is a command (it exports {export}): this host needs one that exports {P3}@0.3.0 or \
             {P2}@0.2; build it as a library with an SDK for HTTP"
        );
    }
    let found = match exports {
        [] => "nothing".to_owned(),
        exports => exports.join(", "),
    };
    bail!(
        "the component cannot answer HTTP requests: it exports {found}, and this host needs {P3}@0.3.0 or {P2}@0.2"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "wasi:http/handler@0.3.0";

    fn error(exports: &[&str]) -> String {
        Handler::of(exports).expect_err("it is refused").to_string()
    }

    #[test]
    fn releases_of_both_versions_are_found() {
        for (export, handler) in [
            (RELEASE, Handler::P3),
            ("wasi:http/handler@0.3.7", Handler::P3),
            ("wasi:http/incoming-handler@0.2.0", Handler::P2),
            ("wasi:http/incoming-handler@0.2.12", Handler::P2),
        ] {
            let found = Handler::of(&["a:b/c", export]).expect(export);
            assert_eq!(found, handler, "{export}");
        }
    }

    #[test]
    fn wasi_0_3_is_preferred() {
        for exports in [
            ["wasi:http/incoming-handler@0.2.3", RELEASE],
            [RELEASE, "wasi:http/incoming-handler@0.2.3"],
        ] {
            assert_eq!(Handler::of(&exports).expect("both"), Handler::P3);
        }
        let exports = [
            "wasi:http/handler@0.3.0-rc-2026-03-15",
            "wasi:http/incoming-handler@0.2.3",
        ];
        assert_eq!(Handler::of(&exports).expect("one of them"), Handler::P2);
    }

    #[test]
    fn other_versions_are_named_with_the_one_that_is_needed() {
        for (export, says) in [
            (
                "wasi:http/handler@0.3.0-rc-2026-03-15",
                "a release candidate: rebuild it with an SDK for wasi:http/handler@0.3.0,",
            ),
            ("wasi:http/handler@0.4.0", "for wasi:http/handler@0.3.0,"),
            ("wasi:http/handler@1.0.0", "for wasi:http/handler@0.3.0,"),
            (
                "wasi:http/incoming-handler@0.2.0-rc-2023-11-10",
                "a release candidate: rebuild it with an SDK for wasi:http/incoming-handler@0.2.0 or",
            ),
        ] {
            let error = error(&[export]);
            assert!(error.contains(export) && error.contains(says), "{error}");
        }
        let error = error(&["wasi:http/incoming-handler"]);
        assert!(
            error.contains("wasi:http/incoming-handler@no version"),
            "{error}"
        );
    }

    #[test]
    fn components_of_other_kinds_are_named() {
        for (exports, says) in [
            (&["fermyon:spin/inbound-http"][..], "the handler of Spin 1"),
            (&["wasi:cli/run@0.2.0"], "is a command"),
            (
                &["fermyon:spin/inbound-redis", "a:b/c"],
                "exports fermyon:spin/inbound-redis, a:b/c",
            ),
            (&[], "exports nothing"),
        ] {
            let error = error(exports);
            assert!(error.contains(says), "{error}");
            assert!(error.contains(RELEASE), "{error}");
        }
    }
}
