//! The steps of the cluster suite on a cluster that xtask did not bring up, such as a contributor's kind. The tests that need
//! the node, or other address families, are skipped; tests/cluster/README.md describes the preparation.

use super::cluster::{MANIFESTS, SUITE, THREADS};
use crate::test::plan::{Id, Plan};
use crate::test::session::Session;
use crate::{image, workspace};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use visits_support::environment;
use visits_support::programs;

/// The reason that tests of any cluster give for being ignored by default.
const ANY_CLUSTER: &str = "needs a cluster";
/// The reason of those that also need a browser.
const WITH_BROWSER: &str = "needs a cluster and Chromium";

/// The options that name a foreign cluster.
#[derive(clap::Args, Clone)]
pub(crate) struct Foreign {
    /// Run the cluster suite on this cluster, whose nodes have the shim, instead of bringing one up
    #[arg(
        long,
        env = "VISITS_KUBECONFIG",
        value_name = "FILE",
        requires = "load"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The command that loads an image archive, its last argument, into that cluster: 'kind load image-archive'
    #[arg(long, env = environment::LOAD.name(), value_name = "COMMAND")]
    load: Option<String>,
}

/// Adds the steps of the suite on the cluster of this kubeconfig.
pub(in crate::test) fn plan(plan: &mut Plan, needs: &[Id], options: &Foreign) {
    let Some(kubectl) = programs::find(&["kubectl"]) else {
        let why =
            "kubectl is not on the PATH: install it from https://kubernetes.io/docs/tasks/tools";
        plan.skip("the cluster tests, and those that render manifests", why);
        super::skipped_suite(plan, MANIFESTS);
        super::skipped_suite(plan, SUITE);
        return;
    };
    super::host::browser_packages(plan);
    let options = options.clone();
    let image = plan.build("the counter's image", needs, move |session| {
        image::pack(&workspace::images()?)?;
        let kubeconfig = options.kubeconfig.context("no kubeconfig is given")?;
        let image = workspace::images()?.join("visits-oci.tar");
        session.set(environment::KUBECTL, kubectl);
        session.set(environment::KUBECONFIG, std::path::absolute(kubeconfig)?);
        session.set(environment::LOAD, options.load.unwrap_or_default());
        session.set(environment::COUNTER_IMAGE, image);
        Ok(())
    });
    plan.tests(MANIFESTS, &[image], |session| {
        let mut command = session.cargo_test(&["--test", MANIFESTS])?;
        command.args(["--", "--include-ignored"]);
        Ok(command)
    });
    // Runs none of them: libtest prints the reason of each ignored test, and counts it.
    plan.tests(
        "cluster, what this cluster cannot run",
        &[image],
        |session| {
            let mut command = session.cargo_test(&["--test", SUITE])?;
            command.args(["--", "--exact"]).args(unmet(session)?);
            Ok(command)
        },
    );
    plan.tests(SUITE, &[image], |session| {
        let mut command = session.cargo_test(&["--test", SUITE])?;
        command.args(["--", "--include-ignored", "--exact"]);
        command.args(["--test-threads", THREADS]);
        for name in unmet(session)? {
            command.args(["--skip", &name]);
        }
        Ok(command)
    });
}

/// Returns the tests whose needs a foreign cluster does not meet, by the reasons that libtest prints for ignored tests.
fn unmet(session: &Session) -> Result<Vec<String>> {
    let output = session
        .cargo_test(&["--quiet", "--test", SUITE])?
        .args(["--", "--format=pretty"])
        .output()
        .context("cannot run cargo")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cannot list the tests of the suite: {stderr}"
    );
    let has_browser = session.has(environment::CHROMIUM);
    let printed = String::from_utf8_lossy(&output.stdout);
    let tests: Vec<_> = printed.lines().filter_map(ignored).collect();
    ensure!(!tests.is_empty(), "the suite lists no tests: {printed}");
    let unmet = tests
        .into_iter()
        .filter(|(_, reason)| *reason != ANY_CLUSTER && !(*reason == WITH_BROWSER && has_browser));
    Ok(unmet.map(|(name, _)| name.to_owned()).collect())
}

/// Returns the name of an ignored test and the reason, if this is libtest's line for one.
fn ignored(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("test ")?.split_once(" ... ignored, ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_test_is_read_with_its_reason() {
        let line = "test node::it_restarts ... ignored, needs the node: restarts it";
        let expected = ("node::it_restarts", "needs the node: restarts it");
        assert_eq!(ignored(line), Some(expected));
        assert_eq!(ignored("test node::it_restarts ... ok"), None);
        assert_eq!(ignored("running 47 tests"), None);
    }
}
