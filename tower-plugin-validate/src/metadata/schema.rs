//! Engine: rules by name, compiled.

use core::fmt;
use std::sync::Arc;

use super::{Fields, Rule, Scan, SchemaBuilder, check::Check, index::Index, rule::Kind};
use crate::sieve::Sieve;

/// Rules by name. Cheap to clone, immutable.
///
/// See the [module's docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct Schema {
    pub(super) compiled: Arc<Compiled>,
}

impl Schema {
    /// Starts without a rule; names that have none pass.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::new()
    }

    /// Starts from the rules of this one, to add to them or to replace some: what a route asks
    /// beside what every request must have.
    pub fn to_builder(&self) -> SchemaBuilder {
        self.compiled.source.clone()
    }

    /// The header fields of a connect-plugin host: `x-plugin-runtime-id` is a name of at most 256
    /// bytes, and other `x-plugin-` fields are single texts of at most 4096.
    pub fn plugin() -> Self {
        use crate::format::Format;
        let builder = Self::builder()
            .key("x-plugin-runtime-id", Rule::from(Format::MetadataKey))
            .prefix("x-plugin-", Rule::text().min_bytes(0));
        builder.compile()
    }

    /// What the gRPC protocol says of metadata: names that end in `-bin` hold base64, of at most 16
    /// values of 4096 bytes each.
    pub fn grpc() -> Self {
        let rule = Rule::binary(4096).repeated(16);
        Self::builder().any_binary(rule).compile()
    }

    /// Starts on one request.
    #[inline]
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        Scan::new(&self.compiled)
    }

    /// Of the names that have to be looked at, for their framing or for their rules.
    #[inline]
    pub(crate) fn sieve(&self) -> &Sieve {
        &self.compiled.sieve
    }

    /// The schema's own spelling of a name that has a rule of its own.
    #[must_use]
    pub fn name_of(&self, name: &[u8]) -> Option<&str> {
        let index = &self.compiled.index;
        index.name(index.find(name)?)
    }
}

/// What happens to names without a rule.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unknown {
    /// They pass.
    #[default]
    Allow,
    /// They are refused, except the [well-known](crate::framing::well_known) ones: a browser or a
    /// proxy sends names that nobody thought of. For callers that are all one's own.
    Reject,
}

pub(super) struct Compiled {
    pub(super) source: SchemaBuilder,
    pub(super) index: Index,
    pub(super) slots: Box<[Slot]>,
    pub(super) prefixes: Box<[Prefix]>,
    pub(super) any_binary: Option<Slot>,
    pub(super) crosses: Box<[Cross]>,
    pub(super) unknown: Unknown,
    /// Of the names that have to be looked at, those of [`FRAMING`](crate::framing::FRAMING) among them.
    pub(super) sieve: Sieve,
    pub(super) required: Places,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.index.names().collect();
        let prefixes: Vec<_> = self.prefixes.iter().map(|prefix| &*prefix.text).collect();
        f.debug_struct("Compiled")
            .field("names", &names)
            .field("prefixes", &prefixes)
            .field("crosses", &self.crosses)
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

/// The rule of a name or a prefix.
#[derive(Debug)]
pub(super) struct Slot {
    /// Of a rule for one name.
    pub(super) place: Option<usize>,
    pub(super) checks: Box<[Check]>,
    pub(super) kind: Kind,
    /// One text and not a list of them.
    pub(super) is_simple: bool,
    pub(super) required: bool,
    pub(super) max_values: usize,
    pub(super) max_items: Option<usize>,
    pub(super) min_bytes: usize,
    pub(super) max_bytes: usize,
    /// What is said of a value that is too short or too long.
    pub(super) length: Box<str>,
}

impl From<Rule> for Slot {
    fn from(rule: Rule) -> Self {
        let (min, max) = (rule.min_bytes, rule.max_bytes);
        let length = match (rule.kind, min) {
            (Kind::Binary, 0) => format!("must be base64 of at most {max} bytes"),
            (Kind::Binary, _) => format!("must be base64 of {min} to {max} bytes"),
            (_, 0) => format!("must be at most {max} bytes long"),
            _ => format!("must be {min} to {max} bytes long"),
        };
        Self {
            place: None,
            checks: rule.checks.into(),
            kind: rule.kind,
            is_simple: rule.kind == Kind::Text && rule.max_items.is_none(),
            required: rule.required,
            max_values: rule.max_values,
            max_items: rule.max_items,
            min_bytes: min,
            max_bytes: max,
            length: length.into(),
        }
    }
}

impl Slot {
    pub(super) fn at(place: usize, rule: Rule) -> Self {
        Self {
            place: Some(place),
            ..Self::from(rule)
        }
    }
}

/// Which of a schema's names, by their places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Places([u64; 4]);

impl Places {
    pub(super) const NONE: Self = Self([0; 4]);

    #[inline]
    pub(super) fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn hold(&self, place: usize) -> bool {
        let word = self.0.get(place / 64).copied().unwrap_or(0);
        word >> (place % 64) & 1 == 1
    }
}

#[derive(Debug)]
pub(super) struct Prefix {
    pub(super) text: Box<str>,
    pub(super) slot: Slot,
    pub(super) max_names: usize,
}

/// A rule across fields.
#[derive(Clone)]
pub(super) struct Cross {
    pub(super) reason: &'static str,
    pub(super) description: Box<str>,
    pub(super) holds: Arc<dyn Fn(&Fields<'_>) -> bool + Send + Sync>,
}

impl fmt::Debug for Cross {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cross").field(&self.reason).finish()
    }
}
