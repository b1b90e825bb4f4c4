//! Routes: which paths reach a component. Syntax, matching and precedence are Spin's.
//!
//! A route is a list of parts: text, `:name` for one segment, and `/...` at the end for everything below. Spin uses the
//! crate routefinder. That crate allocates for each request, reports `*` in the middle of a route only when a request
//! arrives, and loses a slash before a dot. So this module has its own code, and the tests compare it with that crate.
//!
//! Paths are compared as sent: percent-encoding and `..` are not resolved.

use anyhow::{Result, bail, ensure};
use std::cmp::Ordering;

/// The route of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A slash between two segments.
    Slash,
    /// A dot after a name. The name ends there.
    Dot,
    /// Exactly this text.
    Text(String),
    /// `:name`: one segment, or a part of it up to a dot.
    Name(String),
    /// Everything to the end of the path, possibly empty.
    Rest,
}

/// The parts of a path that a route's names and wildcard matched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    /// The values of the names, in the order of the route.
    pub names: Vec<&'p str>,
    /// The value of `/...`, without slashes at either end.
    pub rest: Option<&'p str>,
}

impl Route {
    /// Parses a route in the manifest's syntax.
    pub(crate) fn parse(written: &str) -> Result<Self> {
        let mut route = Self {
            written: written.to_owned(),
            parts: Vec::new(),
        };
        route
            .read()
            .map_err(|error| anyhow::anyhow!("the route {written:?} {error}"))?;
        Ok(route)
    }

    /// Returns the route as it is written in the manifest.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the route as Spin completes it: with a slash at the beginning and without one at the end. `/` is empty.
    pub fn completed(&self) -> String {
        let slash = if self.written.starts_with('/') {
            ""
        } else {
            "/"
        };
        let whole = format!("{slash}{}", self.written);
        whole.strip_suffix('/').unwrap_or(&whole).to_owned()
    }

    /// Returns the route's names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Returns a text that is equal for routes that match the same paths.
    pub fn shape(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Slash => "/",
            Part::Dot => ".",
            Part::Text(text) => text,
            // Neither can occur in a text.
            Part::Name(_) => "\0",
            Part::Rest => "*",
        });
        parts.collect()
    }

    fn read(&mut self) -> Result<()> {
        let completed = self.completed();
        ensure!(
            !completed.contains(['?', '#'])
                && !completed.contains(|c: char| c.is_whitespace() || c.is_control()),
            "must be a path, without a query and without spaces"
        );
        let (base, rest) = match completed.strip_suffix("/...") {
            Some(base) => (base, true),
            None => match completed.strip_suffix("/*") {
                Some(base) => (base, true),
                None => (completed.as_str(), false),
            },
        };
        ensure!(
            !base.contains("...") && !base.contains('*'),
            "may have a wildcard only at its end: write /PATH/..."
        );
        let segments = base.split('/').filter(|segment| !segment.is_empty());
        for segment in segments {
            self.between();
            self.read_segment(segment)?;
        }
        if rest {
            self.between();
            self.parts.push(Part::Rest);
        }
        Ok(())
    }

    fn between(&mut self) {
        if !self.parts.is_empty() {
            self.parts.push(Part::Slash);
        }
    }

    /// Splits a segment after its dots, because each piece of text counts in the precedence of routes.
    fn read_segment(&mut self, segment: &str) -> Result<()> {
        let mut pieces = segment.split('.').peekable();
        while let Some(piece) = pieces.next() {
            match piece.strip_prefix(':') {
                Some("") => bail!("has a wildcard without a name: write /:NAME"),
                Some(name) => self.parts.push(Part::Name(name.to_owned())),
                None if piece.is_empty() => {}
                None => self.parts.push(Part::Text(piece.to_owned())),
            }
            if pieces.peek().is_some() {
                self.push_dot();
            }
        }
        Ok(())
    }

    fn push_dot(&mut self) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push('.'),
            Some(Part::Name(_) | Part::Dot) => self.parts.push(Part::Dot),
            _ => self.parts.push(Part::Text(".".to_owned())),
        }
    }

    /// Matches a path, and returns the values of the route's names. Slashes at either end of the path do not matter. A
    /// target that does not begin with a slash never matches: `*`, and the empty one of CONNECT.
    pub fn matches<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        let mut left = path.strip_prefix('/')?.trim_matches('/');
        let mut captures = Captures::default();
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            left = match part {
                Part::Text(text) => left.strip_prefix(text.as_str())?,
                Part::Dot => left.strip_prefix('.')?,
                Part::Slash => match left.strip_prefix('/') {
                    Some(left) => left,
                    None if left.is_empty() && parts.peek() == Some(&&Part::Rest) => left,
                    None => return None,
                },
                Part::Name(_) => {
                    let before_dot = parts.peek() == Some(&&Part::Dot);
                    let (value, behind) = name(left, before_dot)?;
                    captures.names.push(value);
                    behind
                }
                Part::Rest => {
                    captures.rest = Some(left);
                    ""
                }
            };
        }
        left.is_empty().then_some(captures)
    }

    /// Compares two routes by precedence. The smaller one is tried first. Part by part, text comes before a name, and a
    /// name before a wildcard. Then more dots come first, and then fewer parts.
    pub fn rank(&self, other: &Self) -> Ordering {
        let weights = |route: &Self| -> Vec<u8> { route.parts.iter().map(Part::weight).collect() };
        let (mine, others) = (weights(self), weights(other));
        let common = mine.len().min(others.len());
        let dots =
            |route: &Self| -> usize { route.parts.iter().filter(|p| **p == Part::Dot).count() };
        others[..common]
            .cmp(&mine[..common])
            .then_with(|| dots(other).cmp(&dots(self)))
            .then_with(|| mine.len().cmp(&others.len()))
    }
}

impl Part {
    fn weight(&self) -> u8 {
        match self {
            Self::Slash | Self::Dot => 0,
            Self::Rest => 1,
            Self::Name(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

/// Splits the value of a name from the rest. `None` if the path has ended, or lacks the dot that must follow.
fn name(path: &str, before_dot: bool) -> Option<(&str, &str)> {
    if path.is_empty() {
        return None;
    }
    if before_dot {
        let end = path.find(['.', '/'])?;
        return path[end..].starts_with('.').then(|| path.split_at(end));
    }
    Some(path.split_at(path.find('/').unwrap_or(path.len())))
}

// An explicit path, so that fuzz/bodies can include this file.
#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
