//! Engine: the JSON of a manifest, as it is written.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

// Every field is an option, so that a missing one can be named.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) manifest_version: Option<String>,
    pub(super) generated_at: Option<String>,
    pub(super) generated_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_after: Option<String>,
    #[serde(default, deserialize_with = "plugins")]
    pub(super) plugins: Vec<Plugin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Signature>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) filename: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<String>,
    pub(super) author: Option<String>,
    /// Read and signed, and never believed: a document cannot vouch for itself.
    pub(super) trusted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dependencies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_info: Option<BuildInfo>,
}

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) go_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) git_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reproducible: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) algorithm: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) signature: Option<String>,
}

/// A plugin takes three bytes of JSON and a hundred times as many of memory, so they are counted as they
/// come. `null` is what Go writes for none.
fn plugins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Plugin>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Plugin>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_PLUGINS} plugins")
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<Plugin>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Plugin>, A::Error> {
            let mut plugins = Vec::new();
            while let Some(plugin) = seq.next_element()? {
                if plugins.len() == MAX_PLUGINS {
                    return Err(A::Error::invalid_length(MAX_PLUGINS + 1, &self));
                }
                plugins.push(plugin);
            }
            Ok(plugins)
        }
    }

    deserializer.deserialize_any(Bounded)
}

/// The most that any limit may allow.
pub(super) const MAX_PLUGINS: usize = 10_000;
