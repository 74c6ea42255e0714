//! Engine: what the header fields of a request may say, by name.
//!
//! A [`Schema`] gives each name a [`Rule`]. It is compiled once and never changes; a request is
//! checked in the pass that looks at its fields anyway, without an allocation when all is in order.
//!
//! * A name has a rule of its own, or that of the longest prefix it starts with, or none: then
//!   [`Unknown`] says what happens to it.
//! * A field has one value unless its rule lets it be [`repeated`](Rule::repeated) or a
//!   [`list`](Rule::list). Values are not trimmed and commas not split, except in lists and `-bin`.
//! * [`required`](Rule::required) means at least one value that is not empty.
//! * `-bin` names hold base64, padded or not, with commas between values, as the gRPC protocol has
//!   them. They are measured before they are decoded, and decoded only for a
//!   [`custom`](Rule::custom) check.
//! * Rules across fields are asked when every field by itself is in order.
//!
//! A [`Finding`] names a field only if the schema does, and never holds a value.
//!
//! ```
//! use tower_plugin_validate::{
//!     format::{Format, Hosts, UrlRule},
//!     metadata::{Rule, Schema},
//! };
//!
//! let callback = UrlRule::https().with_hosts(Hosts::new(["*.internal.example"])?);
//! let schema = Schema::builder()
//!     .key("x-tenant-id", Rule::from(Format::Uuid).required())
//!     .key("x-plugin-version", Rule::from(Format::Semver).max_bytes(64))
//!     .key("x-region", Rule::one_of(["eu", "us"]))
//!     .key("x-retry", Rule::integer(0..=10))
//!     .key("x-callback", Rule::url(callback))
//!     .key("x-tags", Rule::from(Format::ServiceType).list(8))
//!     .key("trace-ctx-bin", Rule::binary(256))
//!     .prefix("x-plugin-", Rule::text().max_names(32))
//!     .prefix("x-internal-", Rule::forbidden())
//!     .cross("LEASE_WITHOUT_TENANT", "x-lease needs x-tenant-id", |fields| {
//!         !fields.has("x-lease") || fields.has("x-tenant-id")
//!     })
//!     .build()?;
//!
//! let fields: [(&[u8], &[u8]); 2] = [(b"x-retry", b"11"), (b"x-region", b"eu")];
//! let mut found = Vec::new();
//! let mut scan = schema.scan();
//! for (name, value) in fields {
//!     scan.field(name, value, &mut |finding| found.push(finding.to_string()));
//! }
//! let lookup = |name: &str| fields.iter().find(|f| f.0 == name.as_bytes()).map(|f| f.1);
//! scan.finish(&lookup, &mut |finding| found.push(finding.to_string()));
//! assert_eq!(
//!     found,
//!     ["x-retry must be a whole number from 0 to 10", "x-tenant-id must be there"],
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod bin;
mod build;
mod check;
mod entries;
mod finding;
mod index;
#[cfg(feature = "pattern")]
mod pattern;
mod rule;
mod scan;
mod schema;

pub use bin::{InvalidBinary, decode};
pub use build::{InvalidSchema, SchemaBuilder};
pub use entries::{Entries, EntryFault};
pub use finding::Finding;
#[cfg(feature = "pattern")]
#[cfg_attr(docsrs, doc(cfg(feature = "pattern")))]
pub use pattern::{InvalidPattern, Pattern};
pub use rule::Rule;
pub use scan::{Fields, Scan};
pub use schema::{Schema, Unknown};

/// Names that change what a server does behind the checks of a proxy, and that few clients have a
/// reason to send: those the OWASP Core Rule Set restricts, method overrides, and Next.js' own.
///
/// For [`SchemaBuilder::forbid`].
pub const RISKY_NAMES: [&str; 9] = [
    "content-range",
    "lock-token",
    "proxy",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "x-original-url",
    "x-rewrite-url",
];

#[cfg(test)]
mod tests;
