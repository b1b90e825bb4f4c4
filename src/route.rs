//! The paths that the counter serves.

/// A path that the counter serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`: counts a visit and shows its number.
    Root,
    /// `/visits`: the number, without counting.
    Visits,
    /// `/visits.bin`: the number's bytes.
    VisitsBin,
    /// `/metrics`: the measurements, for Prometheus.
    Metrics,
    /// `/healthz`: whether a visit could be counted.
    Healthz,
    /// `/livez`: whether the component responds.
    Livez,
    /// `/favicon.*`: the page's icon.
    Favicon,
}

impl Route {
    /// Every route. One that is missing here is never parsed, which the compiler reports.
    pub(crate) const ALL: [Route; 7] = [
        Route::Root,
        Route::Visits,
        Route::VisitsBin,
        Route::Metrics,
        Route::Healthz,
        Route::Livez,
        Route::Favicon,
    ];

    /// Returns the route of a path; `None` if the counter does not serve it.
    pub(crate) fn parse(path: &str) -> Option<Route> {
        Route::ALL.into_iter().find(|route| route.serves(path))
    }

    fn serves(self, path: &str) -> bool {
        match self {
            Route::Root => path == "/",
            Route::Visits => path == "/visits",
            Route::VisitsBin => path == "/visits.bin",
            Route::Metrics => path == "/metrics",
            Route::Healthz => path == "/healthz",
            Route::Livez => path == "/livez",
            Route::Favicon => path
                .strip_prefix("/favicon.")
                .is_some_and(|suffix| !suffix.is_empty() && !suffix.contains('/')),
        }
    }
}
