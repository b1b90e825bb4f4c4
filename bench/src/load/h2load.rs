//! Loads a server with `h2load`, nghttp2's load generator: over HTTP/1.1 or HTTP/2, as many requests as the server answers.

use crate::sample::Load;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use visits_support::command::Bounded;

/// The program, found on the PATH.
pub(crate) const PROGRAM: &str = "h2load";

/// How long h2load may take longer than asked for.
const SLACK: Duration = Duration::from_secs(20);

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    /// Each connection is one stream at a time, so that the concurrency is that of HTTP/1.1.
    Two,
}

/// Loads `GET /` with this number of connections for this time.
pub(crate) fn load(
    address: SocketAddr,
    http: Http,
    connections: usize,
    length: Duration,
) -> Result<Load> {
    let mut command = Command::new(PROGRAM);
    if http == Http::One {
        command.arg("--h1");
    }
    command
        .args(["--threads", "1", "--clients", &connections.to_string()])
        .arg(format!("--duration={}", length.as_secs()))
        .arg(format!("http://{address}/"));
    let output = Bounded::new(command).within(length + SLACK).run()?;
    parse(&String::from_utf8_lossy(&output), length)
}

/// Reads the line that begins with `requests:`. Requests that are in flight when the time is over are in none of its figures.
/// h2load prints no percentiles.
fn parse(output: &str, length: Duration) -> Result<Load> {
    let unexpected = || format!("h2load reported no figures: {output}");
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("requests:"))
        .with_context(unexpected)?;
    let figure = |name: &str| {
        let part = line
            .split(',')
            .find_map(|part| part.trim().strip_suffix(name));
        part.and_then(|number| number.trim().parse::<u64>().ok())
            .with_context(unexpected)
    };
    Ok(Load {
        length,
        answered: figure("succeeded")?,
        errors: figure("failed")? + figure("errored")? + figure("timeout")?,
        ..Load::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_failed_are_errors_and_those_in_flight_are_not() {
        let load = parse(
            "finished in 2.01s, 7367.00 req/s, 1.41MB/s\n\
             requests: 14734 total, 14766 started, 14734 done, 14730 succeeded, 4 failed, 3 errored, 1 timeout\n\
             status codes: 14730 2xx, 0 3xx, 0 4xx, 4 5xx\n",
            Duration::from_secs(2),
        )
        .expect("figures");
        assert_eq!((load.answered, load.errors), (14730, 8));
        assert_eq!(load.length, Duration::from_secs(2));
    }

    #[test]
    fn output_without_figures_is_an_error() {
        parse("connection refused\n", Duration::from_secs(1)).expect_err("no figures");
    }
}
