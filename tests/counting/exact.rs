//! Every number once, however many clients count at the same time.

use crate::counter;
use anyhow::Result;
use futures::future::try_join_all;
use visits_tests::load::{self, assert_exactly, visits_bin};
use visits_tests::{Connection, Host, Raw, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_get_each_number_once() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let numbers = load::visits(host.address(), 64, 500).await?;
    assert_exactly(numbers, 1, 32_000);
    assert_eq!(visits_bin(&app.volume())?, 32_000);
    assert_eq!(get(host.address(), "/visits").await?.text(), "32000\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_on_one_volume_get_each_number_once() -> Result<()> {
    let app = counter()?;
    let one = Host::of(&app).start().await?;
    let other = Host::of(&app).start().await?;
    let (mut numbers, others) = futures::future::try_join(
        load::visits(one.address(), 32, 500),
        load::visits(other.address(), 32, 500),
    )
    .await?;
    numbers.extend(others);
    assert_exactly(numbers, 1, 32_000);
    assert_eq!(visits_bin(&app.volume())?, 32_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_hosts_that_start_on_an_empty_volume_at_once_start_one_count() -> Result<()> {
    let app = counter()?;
    let hosts = try_join_all((0..16).map(|_| Host::of(&app).start())).await?;
    let numbers = try_join_all(hosts.iter().map(|host| load::visits(host.address(), 2, 5))).await?;
    assert_exactly(numbers.concat(), 1, 160);
    assert_eq!(visits_bin(&app.volume())?, 160);
    // A probe removes what the losers of the start left, so only the count remains.
    assert_eq!(get(hosts[0].address(), "/healthz").await?.status, 200);
    let names = std::fs::read_dir(app.volume())?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
        .collect::<Result<std::collections::BTreeSet<_>>>()?;
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [".visits", "visits.bin"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_during_its_request_delays_nobody() -> Result<()> {
    let app = counter()?;
    let host = Host::of(&app).start().await?;
    let leave = || async {
        let mut raw = Raw::open(host.address()).await?;
        raw.write("GET / HTTP/1.1\r\nhost: visits\r\n\r\n").await
    };
    let stay = load::visits(host.address(), 8, 100);
    let gone = try_join_all((0..200).map(|_| leave()));
    let (numbers, _) = futures::future::try_join(stay, gone).await?;
    assert_eq!(numbers.len(), 800);
    let mut last = Connection::open(host.address()).await?;
    let number = load::visit(&mut last).await?;
    assert!((801..=1001).contains(&number), "{number}");
    assert_eq!(visits_bin(&app.volume())?, number);
    Ok(())
}
