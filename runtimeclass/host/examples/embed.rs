//! Embeds the host: serves an application on 127.0.0.1:5000 until Ctrl-C.
//!
//! ```console
//! $ cargo run -p preopen-host --example embed app/spin.toml
//! ```

use preopen_host::{Host, Manifest};
use std::path::PathBuf;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1);
    let path = path.map_or(PathBuf::from("spin.toml"), PathBuf::from);
    let host = Host::builder(Manifest::read(&path)?).load()?;
    let listener = TcpListener::bind("127.0.0.1:5000").await?;
    println!("{} is on http://{}", host.name(), listener.local_addr()?);
    let shutdown = async { drop(tokio::signal::ctrl_c().await) };
    println!("{:?}", host.serve(listener, shutdown).await?);
    Ok(())
}
