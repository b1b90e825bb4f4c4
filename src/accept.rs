//! Content negotiation: which form of a number a client prefers (RFC 9110, section 12.5.1).

/// A form in which the counter shows a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The page for people, `text/html`.
    Page,
    /// `application/json`.
    Json,
    /// The number as one line of text. Clients that send no `Accept`, or accept none of these, get it too.
    Text,
}

/// The forms, in the order that settles a tie: text for `curl`'s `*/*`.
const FORMS: [(Form, &str, &str); 3] = [
    (Form::Text, "text", "plain"),
    (Form::Json, "application", "json"),
    (Form::Page, "text", "html"),
];

impl Form {
    /// Returns the form that an `Accept` header prefers. Malformed ranges are skipped.
    pub fn preferred(accept: &str) -> Form {
        let ranges: Vec<Range> = accept.split(',').filter_map(Range::parse).collect();
        let mut best = (Form::Text, 0);
        for (form, main, sub) in FORMS {
            let weight = ranges
                .iter()
                .filter(|range| range.covers(main, sub))
                .max_by_key(|range| range.precision())
                .map_or(0, |range| range.weight);
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }
}

/// One media range: `text/*;q=0.8`.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// The quality, in thousandths.
    weight: u32,
}

impl<'a> Range<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let mut weight = 1000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                let quality: f32 = value.trim().parse().ok()?;
                if !(0.0..=1.0).contains(&quality) {
                    return None;
                }
                weight = (quality * 1000.0) as u32;
            }
        }
        Some(Range { main, sub, weight })
    }

    fn covers(&self, main: &str, sub: &str) -> bool {
        (self.main == "*" && self.sub == "*")
            || (self.main.eq_ignore_ascii_case(main)
                && (self.sub == "*" || self.sub.eq_ignore_ascii_case(sub)))
    }

    /// Returns how precise the range is. The more precise of two ranges decides, whatever their weights.
    fn precision(&self) -> u8 {
        u8::from(self.main != "*") + u8::from(self.sub != "*")
    }
}

#[cfg(test)]
mod tests {
    use super::Form::{self, Json, Page, Text};

    #[test]
    fn each_client_gets_the_form_it_prefers() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, form) in [
            (browser, Page),
            ("*/*", Text),
            ("", Text),
            ("text/plain", Text),
            ("text/*", Text),
            ("text/html", Page),
            ("TEXT/HTML", Page),
            ("application/json", Json),
            ("application/json; charset=utf-8", Json),
            ("application/*", Json),
            ("text/html;q=0.5, application/json", Json),
            ("text/html, application/json;q=0.9", Page),
            ("text/html;q=0, */*", Text),
            ("text/plain;q=0, text/*", Page),
            ("image/png", Text),
            ("text/html;q=7", Text),
            (";;,/,=", Text),
        ] {
            assert_eq!(Form::preferred(accept), form, "{accept:?}");
        }
    }
}
