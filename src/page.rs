//! The page for people: one self-contained file, `page.html`, with four values.

use crate::response::{self, Response};
use askama::Template;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The icon that every `/favicon.*` responds with.
pub const FAVICON: &str = include_str!("favicon.svg");

/// The page's values. Askama escapes them, because the pod's name comes from the environment.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Page<'a> {
    visits: u64,
    pod: &'a str,
    /// When counting on this volume began, for machines.
    since: Option<String>,
    /// The same for people.
    since_human: Option<String>,
}

impl<'a> Page<'a> {
    /// Returns the page that shows visit number `visits`.
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

    /// Returns the page as a response. Its policy allows only its own style and icon.
    pub fn response(&self) -> Response {
        let html = self.render().expect("the template writes to a string");
        let response = response::new(StatusCode::OK, "text/html; charset=utf-8", html);
        let headers = [
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let set = |response, (name, value)| response::with(response, name, value);
        headers.into_iter().fold(response, set)
    }
}

/// Returns the time without its fraction of a second, which nobody needs.
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
