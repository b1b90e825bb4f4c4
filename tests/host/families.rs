//! The address families that the host listens on.

use anyhow::{Result, ensure};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use visits_tests::{App, DEADLINE, Host, artifacts, get};

#[tokio::test]
async fn a_listener_on_every_address_takes_both_families_and_logs_each_peers_address() -> Result<()>
{
    let app = App::new(&artifacts::hello_wasm()?)?;
    let host = Host::of(&app)
        .listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
        .arg("--access-log")
        .start()
        .await?;
    let port = host.address().port();
    for (address, peer) in [
        (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "127.0.0.1:"),
        (SocketAddr::from((Ipv6Addr::LOCALHOST, port)), "[::1]:"),
    ] {
        ensure!(get(address, "/").await?.text() == "hello\n", "{address}");
        let logged = |line: &str| {
            let log: serde_json::Value = serde_json::from_str(line).ok()?;
            let logged = log["fields"]["peer"].as_str()?;
            logged.starts_with(peer).then_some(())
        };
        let logged = host.stderr().find(DEADLINE, logged).await;
        ensure!(logged.is_some(), "no peer {peer}: {:?}", host.stderr());
    }
    Ok(())
}

#[tokio::test]
async fn a_listener_on_one_address_takes_only_its_family() -> Result<()> {
    let app = App::new(&artifacts::hello_wasm()?)?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let host = Host::of(&app).listen(any).start().await?;
    let port = host.address().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    ensure!(get(address, "/").await?.text() == "hello\n");
    let other = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    ensure!(get(other, "/").await.is_err(), "{other} answers");
    Ok(())
}
