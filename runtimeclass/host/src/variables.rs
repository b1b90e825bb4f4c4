//! Application variables: their names, the templates that use them, and their values.
//!
//! The value of a variable comes from the environment (`SPIN_VARIABLE_NAME`) or else from the manifest. All values are
//! known before a component starts, and values are never logged.
//!
//! This module does not use the engine, so that it can be fuzzed. The functions that a component calls are in
//! `crate::variable_interfaces`.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// The beginning of the names of environment variables.
const PREFIX: &str = "SPIN_VARIABLE_";

/// The variables that a manifest declares, with their defaults. A variable without a default requires a value.
pub type Declared = BTreeMap<String, Option<String>>;

/// The values of all declared variables. It does not implement `Debug`, because a value may be a secret.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<String, String>);

/// A text that contains `{{ name }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Values {
    /// Finds the value of every variable in `environment` or, if it has none, in the defaults.
    pub(crate) fn find(
        declared: &Declared,
        environment: impl Fn(&str) -> Result<Option<String>>,
    ) -> Result<Self> {
        let value = |(name, default): (&String, &Option<String>)| {
            let variable = format!("{PREFIX}{}", name.to_ascii_uppercase());
            let value = environment(&variable)?.or_else(|| default.clone());
            let value = value.with_context(|| {
                format!("the variable {name:?} is required and has no value: set {variable} in the environment")
            })?;
            Ok((name.clone(), value))
        };
        declared.iter().map(value).collect::<Result<_>>().map(Self)
    }
}

impl Template {
    /// Parses a template. Fails if it uses an undeclared variable.
    pub(crate) fn parse(written: &str, declared: &Declared) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut left = written;
        while let Some((text, behind)) = left.split_once("{{") {
            let (name, rest) = behind
                .split_once("}}")
                .with_context(|| format!("{written:?} has \"{{{{\" without \"}}}}\""))?;
            let name = name.trim();
            ensure!(
                declared.contains_key(name),
                "{written:?} uses the variable {name:?}, which [variables] does not declare"
            );
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(Piece::Variable(name.to_owned()));
            left = rest;
        }
        pieces.push(Piece::Text(left.to_owned()));
        Ok(Self {
            written: written.to_owned(),
            pieces,
        })
    }

    /// Returns the template as it is written in the manifest.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns whether the template uses no variable.
    pub fn is_literal(&self) -> bool {
        self.pieces.len() == 1
    }

    /// Returns the text with the variables replaced by their values.
    pub fn fill(&self, values: &Values) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            // Every declared variable has a value.
            Piece::Variable(name) => values.0.get(name).map_or("", String::as_str),
        });
        pieces.collect()
    }
}

/// Fails with the reason if a variable cannot have this name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let reason = if name.is_empty() {
        "it must not be empty"
    } else if !name.bytes().all(|byte| of_word(byte) || byte == b'_') {
        "it may have lower-case letters, digits and underscores"
    } else if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        "it must begin with a letter"
    } else if name.ends_with('_') || name.contains("__") {
        "each underscore must be between two words"
    } else {
        return Ok(());
    };
    bail!("{name:?} is not a valid variable name: {reason}")
}

// An explicit path, so that fuzz/bodies can include this file.
#[cfg(test)]
#[path = "variables/tests.rs"]
mod tests;
