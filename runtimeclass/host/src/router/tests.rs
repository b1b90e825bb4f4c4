//! Compares the host's router with Spin's, on generated routes and paths that are the same in every run.

use super::*;

/// A generator of pseudo-random numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The remainder fits, because it is below a usize.
        (self.0 % limit as u64) as usize
    }

    fn one_of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    /// Generates a path of up to `max` segments from these words.
    fn path(&mut self, words: &[&str], max: usize) -> String {
        let count = self.below(max + 1);
        let segments = (0..count).map(|_| format!("/{}", self.one_of(words)));
        segments.collect()
    }
}

const WORDS: [&str; 12] = [
    "a", "b", "ab", "a.b", "b.", ":x", ":y", ":x.b", ":x.:y", "a.:y", ":y.a.b", "c..b",
];
const ENDS: [&str; 5] = ["", "/", "/...", "/*", ""];
const SENT: [&str; 11] = [
    "a", "b", "ab", "a.b", "b.", "", "c..b", ".b", "a.a.b", "%61", "b.a",
];

/// Returns a route in the syntax of Spin's router.
fn for_spin(route: &Route) -> String {
    let completed = route.completed();
    match completed.strip_suffix("/...") {
        Some(base) => format!("{base}/*"),
        None => completed,
    }
}

/// The result of a router: the index of a route, the values of its names, and the rest of the path.
type Found<'p> = Option<(usize, Vec<&'p str>, Option<&'p str>)>;

fn in_spin<'p>(router: &routefinder::Router<usize>, path: &'p str) -> Found<'p> {
    let found = router.best_match(path)?;
    let index = *found.handler();
    let captures = found.captures();
    // The captures are slices of the path. Their addresses give slices that outlive the match.
    let part = |text: &str| {
        let at = text.as_ptr() as usize - path.as_ptr() as usize;
        &path[at..at + text.len()]
    };
    let names = captures.iter().map(|(_, value)| part(value)).collect();
    Some((index, names, captures.wildcard().map(part)))
}

fn in_host<'p>(router: &Router<usize>, path: &'p str) -> Found<'p> {
    let (index, captures) = router.find(path)?;
    Some((*index, captures.names, captures.rest))
}

#[test]
fn generated_routes_match_as_in_spins_router() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut found = 0;
    for _ in 0..2000 {
        let count = 1 + numbers.below(8);
        let written = (0..count).map(|_| numbers.path(&WORDS, 4) + numbers.one_of(&ENDS));
        let routes: Vec<Route> = written
            .collect::<Vec<_>>()
            .iter()
            .map(|written| Route::parse(written).expect("a route"))
            .collect();
        let mut spin = routefinder::Router::new();
        for (index, route) in routes.iter().enumerate() {
            spin.add(for_spin(route).as_str(), index)
                .expect("a route of Spin's");
        }
        let host = Router::new(routes.iter().cloned().zip(0..));
        for _ in 0..50 {
            let path = format!("/{}", numbers.path(&SENT, 5));
            let (expected, seen) = (in_spin(&spin, &path), in_host(&host, &path));
            found += usize::from(expected.is_some());
            let written: Vec<_> = routes.iter().map(Route::written).collect();
            assert_eq!(seen, expected, "{path} in {written:?}");
        }
    }
    assert!(found > 20_000, "only {found} of the paths match");
}

#[test]
fn the_most_specific_route_is_found_in_any_order() {
    let ranked = [
        "/one/two/three",
        "/one/two/:x",
        "/one/two/...",
        "/one/:x/...",
        "/one/...",
        "/:x/...",
        "/...",
    ];
    let paths = [
        ("/one/two/three", 0),
        ("/one/two/four", 1),
        ("/one/two/four/five", 2),
        ("/one/two", 2),
        ("/one/three/four", 3),
        ("/one", 4),
        ("/two", 5),
        ("/", 6),
    ];
    for turn in 0..ranked.len() {
        let mut routes: Vec<(usize, &str)> = ranked.into_iter().enumerate().collect();
        routes.rotate_left(turn);
        let routes = routes
            .into_iter()
            .map(|(index, route)| (Route::parse(route).expect("a route"), index));
        let router = Router::new(routes);
        for (path, index) in paths {
            let found = router.find(path).map(|(index, _)| *index);
            assert_eq!(found, Some(index), "{path}, turned {turn} times");
        }
    }
}
