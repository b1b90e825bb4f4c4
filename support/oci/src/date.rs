//! The time in every file and document of an image. It never comes from the clock, so that two builds are the same.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::time::{Duration, UNIX_EPOCH};

/// The variable with the time, see <https://reproducible-builds.org/specs/source-date-epoch/>.
const VARIABLE: &str = "SOURCE_DATE_EPOCH";
/// The last second that the eleven octal digits of a tar header can hold, in the year 2242.
const MAX_SECONDS: u64 = 0o777_7777_7777;

/// Seconds since 1970. The default is 1970 itself, which shows that no time was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceDate(u64);

impl SourceDate {
    /// Returns the time in the variable `SOURCE_DATE_EPOCH`, or else the default.
    ///
    /// # Errors
    /// If the variable is not a number of seconds up to the year 2242.
    pub fn from_environment() -> Result<Self> {
        std::env::var_os(VARIABLE).map_or_else(|| Ok(Self::default()), |value| Self::parse(&value))
    }

    /// Parses a value of that variable.
    ///
    /// # Errors
    /// If it is not a number of seconds up to the year 2242.
    pub fn parse(value: &OsStr) -> Result<Self> {
        let parse = || {
            let text = value.to_str()?;
            // `parse` alone would accept "+1".
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let seconds: u64 = parse().with_context(|| {
            format!(
                "{VARIABLE}={}: not a number of seconds since 1970",
                value.display()
            )
        })?;
        ensure!(
            seconds <= MAX_SECONDS,
            "{VARIABLE}={seconds}: a layer can hold no time after the year 2242 (are these milliseconds?)"
        );
        Ok(Self(seconds))
    }

    /// Returns the seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Returns the time as documents write it: `1970-01-01T00:00:00Z`.
    pub(crate) fn rfc3339(self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).to_string()
    }
}
