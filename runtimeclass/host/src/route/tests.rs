//! The paths that routes match.

use super::*;

fn captures<'p>(route: &str, path: &'p str) -> Option<Captures<'p>> {
    Route::parse(route).expect("a route").matches(path)
}

fn matches(route: &str, path: &str) -> bool {
    captures(route, path).is_some()
}

fn refused(route: &str) -> String {
    let error = Route::parse(route).expect_err("the route must be refused");
    let error = error.to_string();
    assert!(error.contains(&format!("{route:?}")), "{error}");
    error
}

#[test]
fn a_wildcard_route_matches_everything_below_it() {
    assert!(matches("/...", "/") && matches("/...", "/a/b"));
    for path in ["/api", "/api/", "/api/a/b"] {
        assert!(
            matches("/api/...", path) && matches("/api/*", path),
            "{path}"
        );
    }
    assert!(!matches("/api/...", "/apis") && !matches("/api/...", "/"));
}

#[test]
fn an_exact_route_matches_only_itself() {
    assert!(matches("/", "/") && !matches("/", "/a"));
    assert!(matches("/a", "/a") && matches("/a", "/a/") && matches("/a", "//a//"));
    assert!(!matches("/a", "/a/b") && !matches("/a", "/ab") && !matches("/a/b", "/a//b"));
    assert!(matches("a", "/a") && matches("/a/", "/a") && matches("", "/"));
}

#[test]
fn a_name_stands_for_one_segment() {
    let found = captures("/users/:id/posts/:post", "/users/7/posts/x.html").expect("a match");
    assert_eq!(found.names, ["7", "x.html"]);
    assert!(!matches("/users/:id", "/users") && !matches("/users/:id", "/users/7/posts"));
    let found = captures("/:user/...", "/ann/a/b/").expect("a match");
    assert_eq!((found.names, found.rest), (vec!["ann"], Some("a/b")));
    let found = captures("/:name.:ext", "/page.tar.gz");
    assert_eq!(found.expect("a match").names, ["page", "tar.gz"]);
    assert!(!matches("/:name.html", "/page") && !matches("/:name.html", "/a/page.html"));
}

#[test]
fn paths_are_compared_as_sent() {
    assert!(matches("/a%20b", "/a%20b") && !matches("/a", "/%61") && !matches("/a", "/b/../a"));
    assert_eq!(captures("/:x", "/%2F").expect("a match").names, ["%2F"]);
}

#[test]
fn a_target_that_is_not_a_path_never_matches() {
    for route in ["/...", "/", "/a"] {
        assert!(!matches(route, "*"), "OPTIONS *");
        assert!(!matches(route, ""), "CONNECT");
    }
}

#[test]
fn hidden_files_are_text() {
    assert!(matches("/.git/config", "/.git/config") && !matches("/.git", "/git"));
    assert!(matches("/a/.b", "/a/.b") && !matches("/a/.b", "/a.b"));
    assert!(matches("/:user/.profile", "/ann/.profile"));
}

#[test]
fn a_wildcard_elsewhere_is_refused() {
    for route in ["/a/*/b", "/a*", "/.../a", "/a...", "/*.html"] {
        assert!(refused(route).contains("only at its end"), "{route}");
    }
    assert!(refused("/:").contains("without a name"));
    assert!(refused("/a?b").contains("query") && refused("/a#b").contains("query"));
    for route in ["/a b", "/a\0", "/\u{2003}"] {
        assert!(refused(route).contains("must be a path"));
    }
}

#[test]
fn routes_that_differ_only_in_names_have_the_same_shape() {
    let shape = |route: &str| Route::parse(route).expect("a route").shape();
    assert_eq!(shape("/:a/b"), shape("/:b/b/"));
    assert_eq!(shape("/a/..."), shape("a/*"));
    assert_ne!(shape("/a/..."), shape("/a"));
    assert_ne!(shape("/:a"), shape("/a"));
}

#[test]
fn a_route_is_completed_as_spin_completes_it() {
    let completed = |route: &str| Route::parse(route).expect("a route").completed();
    assert_eq!(completed("/"), "");
    assert_eq!(completed("/a/"), "/a");
    assert_eq!(completed("a/..."), "/a/...");
}
