//! Parses the values of the command's options. A value that is refused gets an error with the form it should have.

use crate::limits::MIN_MEMORY;
use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// A smaller head would refuse ordinary browsers.
const MIN_HEADER: u64 = 1 << 10;
const MAX_HEADER: u64 = 16 << 20;
/// All that a 32-bit component can address.
const MAX_MEMORY: u64 = 4 << 30;
/// A longer time is a mistake, and would overflow when it is added to the clock.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The exit code of a malformed command line.
const MALFORMED: u8 = 2;

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must have the form NAME=VALUE".into()),
    }
}

pub(super) fn unique(flag: &str, pairs: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        if map.insert(name.clone(), value.clone()).is_some() {
            anyhow::bail!("{flag} {name}=… is given twice: remove one");
        }
    }
    Ok(map)
}

pub(super) fn memory(text: &str) -> Result<usize, String> {
    size(text, MIN_MEMORY as u64, MAX_MEMORY)
}

pub(super) fn header(text: &str) -> Result<usize, String> {
    size(text, MIN_HEADER, MAX_HEADER)
}

fn size(text: &str, min: u64, max: u64) -> Result<usize, String> {
    let size: bytesize::ByteSize = text
        .parse()
        .map_err(|_| "it must be a size like 64MiB".to_owned())?;
    if !(min..=max).contains(&size.0) {
        return Err(format!(
            "it must be from {} to {}",
            bytesize::ByteSize(min),
            bytesize::ByteSize(max)
        ));
    }
    usize::try_from(size.0).map_err(|error| error.to_string())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "it must be a time like 500ms or 30s".to_owned())?;
    if duration < Duration::from_millis(1) || duration > MAX_DURATION {
        return Err("it must be from 1ms to a year".into());
    }
    Ok(duration)
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("it must be a number from 1 to 1000000".into()),
    }
}

/// Parses the path of a request.
pub(super) fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && http::uri::PathAndQuery::try_from(text).is_ok() {
        true => Ok(text.to_owned()),
        false => Err("it must be a path like /healthz".into()),
    }
}

/// Prints help and the version as they are, and an error as one line. Returns the exit code.
pub(super) fn refused(error: &clap::Error) -> u8 {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match error.print() {
            Ok(()) => super::SUCCESS,
            Err(_) => super::FAILURE,
        };
    }
    let text = error.to_string();
    let first = text
        .lines()
        .next()
        .unwrap_or("error: malformed command line");
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!(" (one of: {})", values.join(", "))
        }
        _ => String::new(),
    };
    eprintln!("{first}{possible}; see preopen --help");
    MALFORMED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(memory("128MiB"), Ok(128 << 20));
        assert_eq!(memory("1000000"), Ok(1_000_000));
        for bad in ["", "-1", "1kib", "5GiB", "10", "many", "1MiB x"] {
            assert!(memory(bad).is_err(), "{bad} is accepted");
        }
    }

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "30", "0s", "-1s", "1000y", "soon"] {
            assert!(duration(bad).is_err(), "{bad} is accepted");
        }
    }

    #[test]
    fn an_assignment_needs_a_name() {
        assert_eq!(assignment("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(assignment("A").is_err() && assignment("=b").is_err());
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        assert_eq!(path("/healthz?full"), Ok("/healthz?full".into()));
        for bad in ["", "healthz", "http://a/healthz", "/a b"] {
            assert!(path(bad).is_err(), "{bad} is accepted");
        }
    }

    #[test]
    fn counts_are_positive() {
        assert_eq!(count("1"), Ok(1));
        assert!(count("0").is_err() && count("-1").is_err() && count("1.5").is_err());
    }
}
