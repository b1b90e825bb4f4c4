//! The tables of a manifest, with Spin's keys. Every table denies unknown keys. Keys that the host does not use are
//! read all the same, to find mistakes in their values.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// A string with its position.
pub(super) type Text = Spanned<String>;
/// A list that is only checked for being empty.
pub(super) type AnyList = Spanned<Vec<IgnoredAny>>;
/// A table that is only checked for being empty.
pub(super) type AnyTable = Spanned<BTreeMap<String, IgnoredAny>>;
/// Settings of tools. Spin ignores them too.
type Tools = BTreeMap<String, BTreeMap<String, IgnoredAny>>;

/// The keys with the version. They are read first, because a manifest of version 1 has other tables.
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
    /// Values are never logged, even if they are not secret.
    #[serde(default, rename = "secret")]
    _secret: bool,
}

/// The triggers by kind: those of HTTP, and the positions of the others.
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
    /// Profiles for `spin up --profile`. Spin ignores them without that option.
    #[serde(default, rename = "profile")]
    _profiles: BTreeMap<String, Profile>,
}

/// A source other than a file: a URL or a registry.
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

/// The commands that build the component.
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

/// A string or a table. Unlike an untagged enum of serde, it keeps the lines of errors within the table.
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
