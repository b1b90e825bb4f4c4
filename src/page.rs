//! The page for people: one self-contained file, `page.html`, with four values put in.

use crate::answer::Answer;
use askama::Template;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The icon, for every `/favicon.*`.
pub const FAVICON: &str = include_str!("favicon.svg");

/// The page's values. Askama escapes them: a pod's name is whatever the environment says.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Page<'a> {
    visits: u64,
    pod: &'a str,
    /// Since when this volume has been counted on, for machines.
    since: Option<String>,
    /// The same for people.
    since_human: Option<String>,
}

impl<'a> Page<'a> {
    /// The page that shows visit number `visits`.
    pub fn new(visits: u64, pod: &'a str, since: Option<SystemTime>) -> Self {
        let since = since.map(|time| truncated(OffsetDateTime::from(time)));
        let human =
            format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        Page {
            visits,
            pod,
            since: since.and_then(|time| time.format(&Rfc3339).ok()),
            since_human: since.and_then(|time| time.format(human).ok()),
        }
    }

    /// The page as an answer. Its policy allows nothing but its own style and icon.
    pub fn answer(&self) -> Answer {
        let html = self.render().expect("the template writes to a string");
        Answer::new(StatusCode::OK, "text/html; charset=utf-8", html)
            .with(
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            )
            .with(REFERRER_POLICY, "no-referrer")
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }
}

/// Without the fraction of a second, which tells nobody anything.
fn truncated(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::Page;
    use askama::Template;
    use std::time::{Duration, SystemTime};

    fn html(visits: u64, pod: &str, since: Option<SystemTime>) -> String {
        Page::new(visits, pod, since).render().unwrap()
    }

    #[test]
    fn the_page_shows_number_pod_and_since() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_422_800);
        let html = html(483, "visits-0", Some(since));
        assert!(html.contains(r#"<data id="visits" value="483""#), "{html}");
        assert!(html.contains("visits-0"), "{html}");
        assert!(
            html.contains(r#"datetime="2026-10-31T05:00:00Z""#),
            "{html}"
        );
        assert!(html.contains("31 October 2026, 05:00 UTC"), "{html}");
    }

    #[test]
    fn a_pods_name_cannot_inject_markup() {
        let html = html(1, "<script>alert(1)</script>", None);
        assert!(!html.contains("<script"), "{html}");
    }
}
