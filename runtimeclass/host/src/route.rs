//! Which paths reach the component: Spin's routes, either one exact path or a path and all below it (`/api/...`).

use anyhow::{Result, ensure};

/// The route of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path without `/...` and without a slash at its end.
    base: String,
    below: bool,
}

impl Route {
    /// Parses a route as a manifest writes it.
    pub fn parse(route: &str) -> Result<Self> {
        let (base, below) = match route.strip_suffix("/...") {
            Some(base) => (base, true),
            None => (route, false),
        };
        let plain =
            !base.contains("...") && !base.contains("/:") && !base.contains(['*', '?', '#']);
        ensure!(
            route.starts_with('/') && plain,
            "the route {route:?} must be a path like \"/visits\", or end in \"/...\""
        );
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            below,
        })
    }

    /// Whether a request for this path reaches the component.
    pub fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(self.base.as_str()) {
            None => false,
            // The base itself; of "/" it is the empty path, which only CONNECT has.
            Some("") => !self.base.is_empty(),
            Some("/") => true,
            Some(rest) => self.below && rest.starts_with('/'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(route: &str, path: &str) -> bool {
        Route::parse(route).expect("a route").matches(path)
    }

    #[test]
    fn a_wildcard_route_matches_everything_below_it() {
        assert!(matches("/...", "/") && matches("/...", "/a/b"));
        assert!(
            matches("/api/...", "/api")
                && matches("/api/...", "/api/")
                && matches("/api/...", "/api/a/b")
        );
        assert!(!matches("/api/...", "/apis") && !matches("/api/...", "/"));
    }

    #[test]
    fn an_exact_route_matches_only_itself() {
        assert!(matches("/", "/") && !matches("/", "/a"));
        assert!(
            matches("/a", "/a")
                && matches("/a", "/a/")
                && !matches("/a", "/a/b")
                && !matches("/a", "/ab")
        );
    }

    #[test]
    fn what_is_no_path_matches_nothing() {
        assert!(!matches("/...", "*"), "OPTIONS *");
        assert!(!matches("/a", ""), "CONNECT");
    }
}
