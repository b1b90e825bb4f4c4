//! `cargo xtask screenshots`: takes the README's pictures of the page, in the browser test.

use crate::test::Session;
use crate::{cargo, command, component, workspace};
use anyhow::{Context, Result, ensure};
use visits_support::files;

/// The most bytes that a picture in the repository may have.
const MAX_BYTES: u64 = 150_000;

/// Runs the browser test and copies its two desktop pictures to `docs/`.
pub(crate) fn run() -> Result<()> {
    component::run()?;
    command::run(cargo::host()?)?;
    let session = Session::new()?;
    let mut test = session.cargo_test(&["--test", "browser"])?;
    test.args(["--", "--include-ignored"]);
    command::run(test)?;
    let docs = workspace::root().join("docs");
    std::fs::create_dir_all(&docs).with_context(|| format!("cannot create {}", docs.display()))?;
    for scheme in ["light", "dark"] {
        let taken = session.screenshots().join(format!("desktop-{scheme}.png"));
        let size = std::fs::metadata(&taken)
            .with_context(|| format!("picture of the browser test: {}", taken.display()))?
            .len();
        ensure!(
            size <= MAX_BYTES,
            "{} has {size} bytes, more than {MAX_BYTES}",
            taken.display()
        );
        let picture = docs.join(format!("page-{scheme}.png"));
        files::copy(&taken, &picture)?;
        eprintln!("==> {} ({size} bytes)", workspace::short(&picture));
    }
    Ok(())
}
