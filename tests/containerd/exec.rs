//! The toolbox: the programs of a container that serves a component and has none of its own.

use crate::container::Container;
use crate::images;
use crate::node::Node;
use crate::volumes::volume;
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use visits_tests::load;

/// The list of the toolbox's tools.
const TOOLS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../runtimeclass/toolbox/tools.txt"
);

#[tokio::test]
#[ignore = "needs root"]
async fn the_toolbox_reads_the_count_byte_for_byte() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let container = Container::visits(volume.path()).start(&node).await?;
    load::visits(container.address(), 4, 75).await?;
    let written = std::fs::read(volume.path().join("visits.bin"))?;
    assert_eq!(written, 300_u64.to_le_bytes());
    for words in [
        ["cat", "/app/persistent/visits.bin"],
        ["cat", "persistent/visits.bin"],
        ["cat", "./persistent/../persistent/visits.bin"],
        ["/bin/cat", "/app/persistent/visits.bin"],
        ["/usr/bin/cat", "persistent/visits.bin"],
    ] {
        let execed = container.exec(words).run(&node).await?;
        assert_eq!((execed.code, &execed.stdout), (0, &written), "{words:?}");
        assert_eq!(execed.stderr, "", "{words:?}");
    }
    let there = container
        .exec(["cat", "visits.bin"])
        .flag("--cwd=/app/persistent");
    assert_eq!(there.run(&node).await?.stdout, written);
    // The component counts on while the count is read.
    assert_eq!(load::visits(container.address(), 1, 1).await?, [301]);
    let again = container.exec(["cat", "persistent/visits.bin"]);
    assert_eq!(again.run(&node).await?.stdout, 301_u64.to_le_bytes());
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_missing_file_is_an_error_of_the_tool() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    let execed = container.exec(["cat", "/app/nope"]).run(&node).await?;
    assert_eq!((execed.code, execed.stdout.len()), (1, 0), "{execed:?}");
    assert_eq!(execed.stderr, "cat: /app/nope: No such file or directory\n");
    Ok(())
}

/// Returns the names of the tools.
fn tools() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(TOOLS).context(TOOLS)?;
    let lines = text.lines().map(str::trim);
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Vec<String> = names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    ensure!(names.len() >= 25, "{names:?}");
    Ok(names)
}

#[tokio::test]
#[ignore = "needs root"]
async fn every_name_of_the_list_is_a_tool_and_help_lists_it() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    let help = container.exec(["help"]).run(&node).await?;
    assert_eq!(help.code, 0, "{help:?}");
    let listed = help.text();
    let listed: Vec<&str> = listed
        .split(|c: char| c.is_whitespace() || c == ',')
        .collect();
    let tools = tools()?;
    for name in &tools {
        ensure!(
            listed.contains(&name.as_str()),
            "help leaves out {name}: {listed:?}"
        );
    }
    // uutils tests what its tools do. Here each must be found and end without a trap.
    let tried = stream::iter(&tools).map(async |name| {
        let execed = container.exec([name, "--help"]).run(&node).await?;
        assert_eq!(
            execed.code,
            i32::from(name == "false"),
            "{name}: {execed:?}"
        );
        Ok(())
    });
    tried.buffer_unordered(4).try_collect().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn tools_write_to_the_volume_and_not_to_the_root() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let container = Container::visits(volume.path()).start(&node).await?;
    let copy = ["cp", "/app/spin.toml", "/app/persistent/copy"];
    assert_eq!(container.exec(copy).run(&node).await?.code, 0);
    let rename = ["mv", "persistent/copy", "persistent/moved"];
    assert_eq!(container.exec(rename).run(&node).await?.code, 0);
    let moved = volume.path().join("moved");
    ensure!(std::fs::read_to_string(&moved)?.contains("spin_manifest_version"));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&moved)?.uid(), images::USER);
    let remove = ["rm", "/app/persistent/moved"];
    assert_eq!(container.exec(remove).run(&node).await?.code, 0);
    ensure!(!moved.exists());
    for path in ["/new", "/proc/new", "/app/new"] {
        let execed = container.exec(["touch", path]).run(&node).await?;
        ensure!(
            execed.code == 1 && execed.stderr.contains(path),
            "{execed:?}"
        );
    }
    Ok(())
}

/// `kubectl cp` runs `tar` like this.
#[tokio::test]
#[ignore = "needs root"]
async fn tar_copies_files_from_one_volume_to_another() -> Result<()> {
    let node = Node::shared().await?;
    let (one, other) = (volume()?, volume()?);
    let container = Container::of(images::PROBE)
        .volume(one.path(), "/app/one")
        .volume(other.path(), "/app/two")
        .start(&node)
        .await?;
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::create_dir(one.path().join("below"))?;
    std::fs::write(one.path().join("below/large"), &bytes)?;
    std::fs::write(one.path().join("empty"), "")?;
    let pack = container.exec(["tar", "cf", "-", "/app/one"]);
    let archive = pack.run(&node).await?;
    assert_eq!(archive.code, 0, "{}", archive.stderr);
    let unpack = container
        .exec(["tar", "-xmf", "-", "-C", "/app/two"])
        .input(archive.stdout);
    let unpacked = unpack.run(&node).await?;
    assert_eq!((unpacked.code, unpacked.stderr.as_str()), (0, ""));
    let out = other.path().join("app/one");
    ensure!(
        std::fs::read(out.join("below/large"))? == bytes,
        "the bytes differ"
    );
    assert_eq!(std::fs::metadata(out.join("empty"))?.len(), 0);
    for (path, code) in [("/app/two/app/one/below", 0), ("/app/two/app/one/empty", 1)] {
        let test = container.exec(["test", "-d", path]).run(&node).await?;
        assert_eq!(test.code, code, "{path}");
    }
    Ok(())
}
