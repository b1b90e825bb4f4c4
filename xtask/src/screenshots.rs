//! `cargo xtask screenshots`: the pictures of the page in the README, as the browser test has just seen it.

use crate::{cargo, command, component, test::Environment, workspace, workspace::copy_atomically};
use anyhow::{Context, Result, ensure};

/// The most that a picture in the repository may weigh.
const MAX_BYTES: u64 = 150_000;

/// Runs the browser test and copies its two desktop pictures to `docs/`.
pub(crate) fn run() -> Result<()> {
    component::run()?;
    command::run(cargo::host()?)?;
    let environment = Environment::new()?;
    let mut test = cargo::native("test")?;
    test.args(["--test", "browser", "--", "--include-ignored"]);
    environment.apply(&mut test);
    command::run(test)?;
    let docs = workspace::root().join("docs");
    std::fs::create_dir_all(&docs).with_context(|| format!("make {}", docs.display()))?;
    for scheme in ["light", "dark"] {
        let taken = environment
            .screenshots()
            .join(format!("desktop-{scheme}.png"));
        let size = std::fs::metadata(&taken)
            .with_context(|| format!("the browser test left no {}", taken.display()))?
            .len();
        ensure!(
            size <= MAX_BYTES,
            "{} has {size} bytes, more than {MAX_BYTES}",
            taken.display()
        );
        let picture = docs.join(format!("page-{scheme}.png"));
        copy_atomically(&taken, &picture)?;
        eprintln!("==> {} ({size} bytes)", workspace::short(&picture));
    }
    Ok(())
}
