//! The request headers that a component sees: Spin's, which clients cannot forge, and a proxy's, which are unchanged.

use crate::manifest::app;
use anyhow::{Result, ensure};
use visits_tests::client::empty;
use visits_tests::{Connection, Host};

const ROUTES: &str = r#"
[[trigger.http]]
route = "/..."
component = "probe"
[[trigger.http]]
route = "/users/:user_id/..."
component = "probe"
[component.probe]
source = PROBE
"#;

/// Returns the headers that the probe sees of a request with these headers, one per line.
async fn seen(host: &Host, path: &str, sent: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut request = http::Request::get(path);
    for (name, value) in sent {
        request = request.header(*name, *value);
    }
    let mut connection = Connection::open(host.address()).await?;
    let reply = connection.call(request.body(empty())?).await?;
    ensure!(reply.status == 200, "{reply:?}");
    Ok(reply.text().lines().map(ToOwned::to_owned).collect())
}

#[tokio::test]
async fn a_component_sees_spins_headers_instead_of_a_clients_forged_ones() -> Result<()> {
    let host = Host::of(&app(ROUTES)?).start().await?;
    let forged = [
        ("Spin-Client-Addr", "203.0.113.9:1"),
        ("SPIN-PATH-INFO", "/etc"),
        ("spin-full-url", "http://forged/"),
        ("spin-base-path", "/forged"),
        ("spin-path-match-user-id", "root"),
        ("spin-path-match-other", "forged"),
        ("connection", "x-hop"),
    ];
    let path = "/users/ann/a/b/?headers";
    let seen = seen(&host, path, &forged).await?;
    let mine: Vec<_> = seen
        .iter()
        .filter(|line| line.starts_with("spin-") && !line.starts_with("spin-client-addr: "))
        .cloned()
        .collect();
    let expected = [
        "spin-base-path: /".to_owned(),
        "spin-component-route: /users/:user_id".to_owned(),
        format!("spin-full-url: {}{path}", host.url()),
        "spin-matched-route: /users/:user_id/...".to_owned(),
        "spin-path-info: /a/b/".to_owned(),
        "spin-path-match-user-id: ann".to_owned(),
        "spin-raw-component-route: /users/:user_id/...".to_owned(),
    ];
    ensure!(mine == expected, "{seen:#?}");
    let clients: Vec<_> = seen
        .iter()
        .filter_map(|line| line.strip_prefix("spin-client-addr: "))
        .collect();
    ensure!(
        clients.len() == 1 && clients[0].starts_with("127.0.0.1:"),
        "{seen:#?}"
    );
    ensure!(
        !seen.iter().any(|line| line.starts_with("connection:")),
        "{seen:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_ipv4_client_of_an_ipv6_socket_is_shown_with_its_ipv4_address() -> Result<()> {
    let host = Host::of(&app(ROUTES)?)
        .listen("[::]:0".parse()?)
        .start()
        .await?;
    let address = format!("127.0.0.1:{}", host.address().port()).parse()?;
    let reply = visits_tests::get(address, "/?headers").await?;
    ensure!(
        reply.text().contains("spin-client-addr: 127.0.0.1:"),
        "{reply:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_proxys_headers_pass_unchanged() -> Result<()> {
    let host = Host::of(&app(ROUTES)?).start().await?;
    let proxy = [
        ("forwarded", "for=192.0.2.43;proto=https"),
        ("x-forwarded-for", "192.0.2.43, 198.51.100.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "https"),
        ("x-hop", "1"),
    ];
    let seen = seen(&host, "/?headers", &proxy).await?;
    for (name, value) in proxy {
        ensure!(seen.contains(&format!("{name}: {value}")), "{seen:#?}");
    }
    Ok(())
}
