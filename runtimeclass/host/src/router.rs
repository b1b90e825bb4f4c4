//! Finds the route that answers a path, among all of an application.

use crate::route::{Captures, Route};
use std::cmp::Ordering;

/// Routes with what each of them reaches, the most specific one first.
#[derive(Debug)]
pub(crate) struct Router<T> {
    routes: Vec<(Route, T)>,
}

impl<T> Router<T> {
    /// Returns a router of these routes. Of two that are as specific, the one that was given first comes first.
    pub(crate) fn new(routes: impl IntoIterator<Item = (Route, T)>) -> Self {
        let mut sorted: Vec<(Route, T)> = Vec::new();
        for (route, reached) in routes {
            // Not a sort: as in Spin's router, `rank` is no total order when dots follow names.
            let behind = |(other, _): &(Route, T)| route.rank(other) == Ordering::Less;
            let at = sorted.iter().position(behind).unwrap_or(sorted.len());
            sorted.insert(at, (route, reached));
        }
        Self { routes: sorted }
    }

    /// Finds the first route that matches, with what it reaches.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(&T, Captures<'p>)> {
        self.routes
            .iter()
            .find_map(|(route, reached)| Some((reached, route.matches(path)?)))
    }
}

#[cfg(test)]
#[path = "router/tests.rs"]
mod tests;
