//! A volume that something else has counted on is taken over, with a log line and a copy of what was there.

use crate::counter;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use visits_tests::load::{self, visits_bin};
use visits_tests::{DEADLINE, Host, get};

fn names(volume: &Path) -> Result<Vec<String>> {
    let names: Result<BTreeSet<_>> = fs::read_dir(volume)?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
        .collect();
    Ok(names?.into_iter().collect())
}

async fn report(host: &Host) -> Result<String> {
    let report = |line: &str| line.starts_with("took over").then(|| line.to_owned());
    let found = host.stderr().find(DEADLINE, report).await;
    found.ok_or_else(|| host.failed("no take-over was logged"))
}

#[tokio::test]
async fn a_take_over_is_reported_and_the_original_kept() -> Result<()> {
    for (bytes, count) in [
        (&[114][..], 114),
        (&[0x39, 0x05], 1337),
        // Digits that are also counts which the Python app may have reached.
        (b"1", 49),
        (b"9\n", 2617),
        (b"114", 3_420_465),
        (&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0], 7),
    ] {
        let app = counter()?;
        fs::write(app.volume().join("visits.bin"), bytes)?;
        let host = Host::of(&app).start().await?;
        assert_eq!(load::visits(host.address(), 1, 1).await?, [count + 1]);
        let line = report(&host).await?;
        let copy = format!("visits.bin.taken-over-{count}");
        for part in [
            format!("{} byte", bytes.len()),
            format!("little-endian number {count};"),
            format!("/app/persistent/{copy}"),
        ] {
            assert!(line.contains(&part), "{part:?} in {line}");
        }
        assert_eq!(names(&app.volume())?, [".visits", "visits.bin", &copy]);
        assert_eq!(fs::read(app.volume().join(copy))?, bytes);
        assert_eq!(visits_bin(&app.volume())?, count + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_of_this_counter_is_reported_and_not_copied() -> Result<()> {
    let app = counter()?;
    fs::write(app.volume().join("visits.bin"), 114u64.to_le_bytes())?;
    let host = Host::of(&app).start().await?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [115]);
    let line = report(&host).await?;
    assert!(line.contains("8 bytes, read as the little-endian number 114;"));
    assert_eq!(names(&app.volume())?, [".visits", "visits.bin"]);
    Ok(())
}

#[tokio::test]
async fn a_number_as_text_is_refused_with_the_command_that_converts_it() -> Result<()> {
    for (text, number) in [("114\n", "114"), ("1000", "1000"), (" 7 \r\n", "7")] {
        let app = counter()?;
        let file = app.volume().join("visits.bin");
        fs::write(&file, text)?;
        let host = Host::of(&app).start().await?;
        let mut line = String::new();
        for path in ["/visits", "/healthz", "/"] {
            let reply = get(host.address(), path).await?;
            assert_eq!(reply.status, 500, "{path}: {}", reply.text());
            line = reply.text().trim_end().to_owned();
            assert!(line.contains("/app/persistent/visits.bin"), "{line}");
            assert!(line.contains(&format!("{number} as text")), "{line}");
        }
        assert_eq!(fs::read(&file)?, text.as_bytes());
        assert_eq!(names(&app.volume())?, ["visits.bin"]);
        // The command in the error mends it.
        let command = line.split("write it with: ").nth(1).unwrap_or("false");
        let mended = std::process::Command::new("sh")
            .args(["-c", command])
            .current_dir(app.volume())
            .status()?;
        assert!(mended.success(), "{command}");
        let next = number.parse::<u64>()? + 1;
        assert_eq!(load::visits(host.address(), 1, 1).await?, [next]);
    }
    Ok(())
}

#[tokio::test]
async fn another_file_with_the_name_of_the_copy_refuses_the_start() -> Result<()> {
    let app = counter()?;
    let copy = app.volume().join("visits.bin.taken-over-114");
    fs::write(app.volume().join("visits.bin"), [114])?;
    fs::write(&copy, "somebody's notes")?;
    let host = Host::of(&app).start().await?;
    for path in ["/", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}: {}", reply.text());
        assert!(reply.text().contains("move it away"), "{}", reply.text());
    }
    assert_eq!(fs::read(&copy)?, b"somebody's notes");
    assert_eq!(fs::read(app.volume().join("visits.bin"))?, [114]);
    fs::remove_file(&copy)?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [115]);
    assert_eq!(fs::read(&copy)?, [114]);
    Ok(())
}
