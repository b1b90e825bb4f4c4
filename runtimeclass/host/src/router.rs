//! Finds the route of an application that matches a path.

use crate::route::{Captures, Route};
use std::cmp::Ordering;

/// Routes with their targets, in order of precedence.
#[derive(Debug)]
pub(crate) struct Router<T> {
    routes: Vec<(Route, T)>,
}

impl<T> Router<T> {
    /// Returns a router of these routes. Routes of equal precedence keep their order.
    pub(crate) fn new(routes: impl IntoIterator<Item = (Route, T)>) -> Self {
        let mut sorted: Vec<(Route, T)> = Vec::new();
        for (route, reached) in routes {
            // Not a sort, because `rank` is not a total order when dots follow names, as in Spin's router.
            let behind = |(other, _): &(Route, T)| route.rank(other) == Ordering::Less;
            let at = sorted.iter().position(behind).unwrap_or(sorted.len());
            sorted.insert(at, (route, reached));
        }
        Self { routes: sorted }
    }

    /// Returns the first route's target that matches, and the values of the route's names.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(&T, Captures<'p>)> {
        self.routes
            .iter()
            .find_map(|(route, reached)| Some((reached, route.matches(path)?)))
    }
}

#[cfg(test)]
#[path = "router/tests.rs"]
mod tests;
