//! A manifest's tables, key by key as Spin has them. Every table denies unknown keys. What is read and not used here is
//! read so that a mistake in it is found.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// A text with its place.
pub(super) type Text = Spanned<String>;
/// A list of which only matters whether it is empty.
pub(super) type AnyList = Spanned<Vec<IgnoredAny>>;
/// A table of which only matters whether it is empty.
pub(super) type AnyTable = Spanned<BTreeMap<String, IgnoredAny>>;
/// Settings of tools, which Spin ignores too.
type Tools = BTreeMap<String, BTreeMap<String, IgnoredAny>>;

/// The keys that tell the version, read before everything else. A manifest of version 1 has other tables.
#[derive(serde::Deserialize)]
pub(super) struct Versions {
    pub(super) spin_manifest_version: Option<Spanned<toml::Value>>,
    pub(super) spin_version: Option<Spanned<IgnoredAny>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "spin_manifest_version")]
    _version: IgnoredAny,
    pub(super) application: Application,
    #[serde(default)]
    pub(super) variables: BTreeMap<Text, Variable>,
    pub(super) trigger: Triggers,
    #[serde(default)]
    pub(super) component: BTreeMap<String, Component>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors")]
    _authors: Option<Vec<String>>,
    #[serde(rename = "targets")]
    _targets: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    pub(super) trigger: BTreeMap<String, BTreeMap<Text, Spanned<toml::Value>>>,
    #[serde(default, rename = "tool")]
    _tool: Tools,
}

/// An application's variable.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<String>,
    /// No value is ever logged, whether it is secret or not.
    #[serde(default, rename = "secret")]
    _secret: bool,
}

/// The triggers by their kinds: those of HTTP, and where the others are.
pub(super) struct Triggers {
    pub(super) http: Vec<Spanned<HttpTrigger>>,
    pub(super) others: Vec<(Text, AnyList)>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTrigger {
    #[serde(rename = "id")]
    _id: Option<String>,
    pub(super) route: Spanned<TextOr<Private>>,
    pub(super) component: Option<Spanned<TextOr<Box<Component>>>>,
    pub(super) static_response: Option<Spanned<StaticResponse>>,
    pub(super) executor: Option<Executor>,
    pub(super) components: Option<AnyTable>,
    pub(super) dependencies: Option<AnyTable>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Private {
    pub(super) private: Spanned<bool>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticResponse {
    pub(super) status_code: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<Text, Text>,
    pub(super) body: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Executor {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    /// Settings of `wagi`.
    pub(super) argv: Option<Spanned<IgnoredAny>>,
    pub(super) entrypoint: Option<Spanned<IgnoredAny>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    pub(super) source: Spanned<TextOr<Elsewhere>>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<Text, Text>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, Text>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<TextOr<super::Mount>>>,
    #[serde(default)]
    pub(super) allowed_outbound_hosts: Vec<Text>,
    pub(super) exclude_files: Option<AnyList>,
    pub(super) allowed_http_hosts: Option<AnyList>,
    pub(super) key_value_stores: Option<AnyList>,
    pub(super) sqlite_databases: Option<AnyList>,
    pub(super) ai_models: Option<AnyList>,
    pub(super) dependencies: Option<AnyTable>,
    #[serde(rename = "dependencies_inherit_configuration")]
    _dependencies_inherit_configuration: Option<bool>,
    #[serde(rename = "targets")]
    _targets: Option<Vec<IgnoredAny>>,
    #[serde(rename = "build")]
    _build: Option<Build>,
    #[serde(default, rename = "tool")]
    _tool: Tools,
    /// What `spin up --profile` would select. Without that option Spin does not use it either.
    #[serde(default, rename = "profile")]
    _profiles: BTreeMap<String, Profile>,
}

/// A source that is not a file: one of a URL, or of a registry.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Elsewhere {
    pub(super) url: Option<String>,
    #[serde(rename = "digest")]
    _digest: Option<String>,
    #[serde(rename = "registry")]
    _registry: Option<String>,
    pub(super) package: Option<String>,
    pub(super) version: Option<String>,
}

/// What builds the component.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: OneOrMany,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(default, rename = "watch")]
    _watch: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    #[serde(rename = "source")]
    _source: Option<TextOr<Elsewhere>>,
    #[serde(default, rename = "environment")]
    _environment: BTreeMap<String, String>,
    #[serde(default, rename = "dependencies")]
    _dependencies: BTreeMap<String, IgnoredAny>,
    #[serde(rename = "build")]
    _build: Option<ProfileBuild>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileBuild {
    #[serde(rename = "command")]
    _command: OneOrMany,
}

#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "a command must be a string or a list of strings"
)]
enum OneOrMany {
    One(#[allow(dead_code, reason = "only its type is checked")] String),
    Many(#[allow(dead_code, reason = "only its type is checked")] Vec<String>),
}

/// A text or a table. Unlike an enum that serde tries out, it keeps the lines of errors within the table.
pub(super) enum TextOr<T> {
    Text(String),
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Table)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Triggers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kinds;
        impl<'de> Visitor<'de> for Kinds {
            type Value = Triggers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of triggers, each written [[trigger.http]]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Triggers, A::Error> {
                let mut triggers = Triggers {
                    http: Vec::new(),
                    others: Vec::new(),
                };
                while let Some(kind) = map.next_key::<Text>()? {
                    if kind.get_ref() == "http" {
                        triggers.http = map.next_value()?;
                    } else {
                        triggers.others.push((kind, map.next_value()?));
                    }
                }
                Ok(triggers)
            }
        }
        deserializer.deserialize_map(Kinds)
    }
}
