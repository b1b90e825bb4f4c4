//! Volumes that something else has written to.

use crate::counter;
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use visits_tests::load::{self, visits_bin};
use visits_tests::{Connection, DEADLINE, Host, get, make_fifo};

/// Less than the 10 s that the counter waits for a volume.
const STALL_LIMIT: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_volume_of_app_py_counts_on_whatever_its_length() -> Result<()> {
    for (bytes, count) in [
        (&[][..], 0),
        (&[114][..], 114),
        (&[0x39, 0x05][..], 1337),
        (&[1, 2, 3][..], 0x03_02_01),
        (&[95, 0, 0, 0, 0, 0, 0, 0][..], 95),
    ] {
        let app = counter()?;
        let file = app.volume().join("visits.bin");
        fs::write(&file, bytes)?;
        let host = Host::of(&app).start().await?;
        assert_eq!(
            get(host.address(), "/visits").await?.text(),
            format!("{count}\n")
        );
        assert_eq!(
            fs::read(&file)?,
            bytes,
            "a request that does not count changes it"
        );
        let mut client = Connection::open(host.address()).await?;
        assert_eq!(load::visit(&mut client).await?, count + 1);
        assert_eq!(visits_bin(&app.volume())?, count + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_a_count_is_reported_and_kept() -> Result<()> {
    let app = counter()?;
    let file = app.volume().join("visits.bin");
    let nonsense = b"one hundred and fourteen";
    fs::write(&file, nonsense)?;
    let host = Host::of(&app).start().await?;
    for path in ["/", "/visits", "/visits.bin", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 500, "{path}: {}", reply.text());
        assert!(
            reply.text().contains("/app/persistent/visits.bin"),
            "{path}: {}",
            reply.text()
        );
        assert_eq!(reply.text().lines().count(), 1, "{path}: {}", reply.text());
    }
    assert_eq!(get(host.address(), "/livez").await?.status, 200);
    assert_eq!(fs::read(&file)?, nonsense);
    assert_eq!(fs::read_dir(app.volume())?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_not_utf8_beside_the_ticket_is_reported_and_the_count_is_kept() -> Result<()>
{
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    assert_eq!(get(host.address(), "/").await?.text(), "1\n");
    host.kill9().await?;
    let foreign = app
        .volume()
        .join(".visits")
        .join(OsStr::from_bytes(b"\xff"));
    fs::write(&foreign, "")?;
    // Beside `visits.bin` it is in nobody's way.
    fs::write(app.volume().join(OsStr::from_bytes(b"\xfe")), "")?;
    let host = Host::of(&app).start().await?;
    for path in ["/", "/visits", "/healthz"] {
        let reply = get(host.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}: {}", reply.text());
        let line = reply.text().trim_end();
        assert!(line.contains("is not UTF-8: remove it"), "{path}: {line}");
        assert!(
            line.contains(".visits") && !line.contains('\n'),
            "{path}: {line}"
        );
    }
    fs::remove_file(foreign)?;
    assert_eq!(get(host.address(), "/").await?.text(), "2\n");
    Ok(())
}

#[tokio::test]
async fn the_host_mends_visits_bin_when_it_starts() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 5).await?;
    host.kill9().await?;
    fs::write(app.volume().join("visits.bin"), [3, 0, 0, 0, 0, 0, 0, 0])?;
    let host = Host::of(&app).start().await?;
    let deadline = Instant::now() + DEADLINE;
    while visits_bin(&app.volume())? != 5 {
        ensure!(
            Instant::now() < deadline,
            host.failed("visits.bin is not mended")
        );
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_count_is_set_by_hand_as_the_operators_guide_says() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 5).await?;
    host.kill9().await?;
    fs::remove_dir_all(app.volume().join(".visits"))?;
    fs::write(app.volume().join("visits.bin"), 2u64.to_le_bytes())?;
    let host = Host::of(&app).start().await?;
    assert_eq!(load::visits(host.address(), 1, 1).await?, [3]);
    Ok(())
}

#[tokio::test]
async fn a_fifo_or_socket_in_place_of_visits_bin_is_refused_until_it_is_gone() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 2).await?;
    let file = app.volume().join("visits.bin");
    for make in [make_fifo as fn(&Path) -> Result<()>, make_socket] {
        host.closed(&file).await?;
        fs::remove_file(&file)?;
        make(&file)?;
        let before = get(host.address(), "/visits").await?.text().to_owned();
        let asked = Instant::now();
        for path in ["/", "/healthz"] {
            let reply = get(host.address(), path).await?;
            assert_eq!(reply.status, 503, "{path}: {}", reply.text());
            for part in ["visits.bin in /app/persistent", "a FIFO", "remove it"] {
                assert!(reply.text().contains(part), "{path}: {}", reply.text());
            }
            assert_eq!(reply.text().lines().count(), 1, "{path}: {}", reply.text());
        }
        ensure!(
            asked.elapsed() < STALL_LIMIT,
            host.failed("it waited for the FIFO")
        );
        assert_eq!(get(host.address(), "/livez").await?.status, 200);
        fs::remove_file(&file)?;
        // The refused visit is not counted.
        let number = load::visits(host.address(), 1, 1).await?[0];
        assert_eq!(number, before.trim_end().parse::<u64>()? + 1);
        assert_eq!(visits_bin(&app.volume())?, number);
    }
    Ok(())
}

#[tokio::test]
async fn a_fifo_does_not_delay_a_first_start() -> Result<()> {
    for name in ["visits.bin", ".visits"] {
        let app = counter()?;
        make_fifo(&app.volume().join(name))?;
        let host = Host::of(&app).start().await?;
        let asked = Instant::now();
        for path in ["/", "/visits", "/healthz"] {
            let reply = get(host.address(), path).await?;
            assert_eq!(reply.status, 503, "{name} {path}: {}", reply.text());
            assert!(reply.text().contains(name), "{path}: {}", reply.text());
        }
        ensure!(
            asked.elapsed() < STALL_LIMIT,
            host.failed("it waited for the FIFO")
        );
        fs::remove_file(app.volume().join(name))?;
        assert_eq!(load::visits(host.address(), 1, 1).await?, [1]);
    }
    Ok(())
}

fn make_socket(path: &Path) -> Result<()> {
    drop(std::os::unix::net::UnixListener::bind(path)?);
    Ok(())
}

#[tokio::test]
async fn a_replaced_visits_bin_is_written_to_again() -> Result<()> {
    let app = counter()?;
    let file = app.volume().join("visits.bin");
    let host = Host::of(&app).start().await?;
    load::visits(host.address(), 1, 2).await?;
    fs::write(
        app.volume().join("new"),
        b"something longer than eight bytes",
    )?;
    host.closed(&file).await?;
    fs::rename(app.volume().join("new"), &file)?;
    load::visits(host.address(), 1, 1).await?;
    assert_eq!(visits_bin(&app.volume())?, 3);
    host.closed(&file).await?;
    fs::remove_file(&file)?;
    load::visits(host.address(), 1, 1).await?;
    assert_eq!(visits_bin(&app.volume())?, 4);
    Ok(())
}
