//! The one time that an image bears, in every file and document. The clock is never asked, for then no two builds
//! would be the same.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::time::{Duration, UNIX_EPOCH};

/// The variable, see <https://reproducible-builds.org/specs/source-date-epoch/>.
const VARIABLE: &str = "SOURCE_DATE_EPOCH";
/// The last second that the eleven octal digits of a tar header can hold, in the year 2242.
const LAST: u64 = 0o777_7777_7777;

/// Seconds since 1970. The default is 1970 itself: a time that says of itself that nobody set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceDate(u64);

impl SourceDate {
    /// The time in the variable `SOURCE_DATE_EPOCH`, else the default.
    ///
    /// # Errors
    /// When the variable is set to anything but such a number of seconds.
    pub fn from_environment() -> Result<Self> {
        std::env::var_os(VARIABLE).map_or_else(|| Ok(Self::default()), |value| Self::parse(&value))
    }

    /// The time in a value of that variable.
    ///
    /// # Errors
    /// When it is not a number of seconds up to the year 2242.
    pub fn parse(value: &OsStr) -> Result<Self> {
        let parse = || {
            let text = value.to_str()?;
            // `parse` alone would take "+1".
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
            seconds <= LAST,
            "{VARIABLE}={seconds}: later than the year 2242, which no layer can hold (are these milliseconds?)"
        );
        Ok(Self(seconds))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// As documents write it: `1970-01-01T00:00:00Z`.
    pub(crate) fn rfc3339(self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).to_string()
    }
}
