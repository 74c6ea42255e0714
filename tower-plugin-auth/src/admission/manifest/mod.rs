//! Signed manifests: which plugins there are, and what their programs have to be.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_plugin_auth::{SystemRng, admission::{Applicant, Artifact, manifest::{
//!     ManifestBuilder, ManifestKey, ManifestLimits, ManifestPolicy, PluginEntry, Timestamp, TrustedKeys, sign,
//! }}};
//!
//! // Where plugins are released:
//! let program = b"the bytes of the program";
//! let key = ManifestKey::generate(&SystemRng)?;
//! let plugin = PluginEntry::new("cache", "1.4.0", "cache.so", Artifact::of(program), "our-team")?;
//! let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let limits = ManifestLimits::new();
//! let manifest = ManifestBuilder::new(Timestamp::of(now).unwrap(), "release")
//!     .with_plugin(plugin)
//!     .to_json(&limits)?;
//! let manifest = sign(&manifest, "release-2026", &key, &limits)?;
//!
//! // Where they are admitted:
//! let keys = TrustedKeys::new().with_key("release-2026", &key.public_key())?;
//! let policy = ManifestPolicy::new(keys).with_trusted_author("our-team");
//! let manifest = policy.verify(&manifest, now)?;
//! let name = "cache".parse()?;
//! let genuine = Applicant::new(&name).with_artifact(Artifact::of(program));
//! let tampered = Applicant::new(&name).with_artifact(Artifact::of(b"the bytes of another one"));
//! assert!(policy.decide(&manifest, &genuine, now, |_| true).is_ok());
//! assert!(policy.decide(&manifest, &tampered, now, |_| true).is_err());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The document
//!
//! JSON with these members; those in brackets may be left out, and no others may be there:
//!
//! Member | What
//! ---|---
//! `manifest_version` | `"1.0"`
//! `generated_at` | RFC 3339. Of two manifests the later one counts, and an earlier one is never installed again
//! `generated_by` | 1 to 128 visible characters
//! \[`not_before`\], \[`not_after`\] | RFC 3339, both included. Outside of it nobody is admitted
//! `plugins` | at least one, see below
//! \[`signature`\] | `algorithm`: `"ed25519"`; `key_id`; `signature`: base64 (RFC 4648, section 4)
//!
//! Of each plugin:
//!
//! Member | What
//! ---|---
//! `name` | a [self id](crate::token::SelfId); names are compared in their canonical form
//! `version` | 1 to 64 letters, digits, `.`, `+`, `-`, `_`. A name may be listed in several versions
//! `filename` | one segment of a path, unique but for upper and lower case
//! `sha256` | 64 hexadecimal digits of either case
//! `size` | bytes, above 0
//! `author` | 1 to 128 visible characters
//! \[`trusted`\] | a boolean. **It is ignored**: trust is the host's to give
//! \[`dependencies`\] | names of plugins in this manifest that have to be there first; no circles
//! \[`modified`\] | RFC 3339, not after `generated_at`
//! \[`build_info`\] | \[`go_version`\], \[`git_commit`\], \[`build_time`\], \[`environment`\], \[`reproducible`\]
//!
//! # What is signed
//!
//! The text `tower-plugin manifest 1`, a line feed, then the document without its member `signature` in the form of
//! the JSON Canonicalization Scheme (RFC 8785): members sorted by name, no white space, strings escaped only where
//! they must be. So white space and the order of members may change on the way, and nothing else may. The signature is
//! Ed25519 (RFC 8032) over these bytes, checked strictly: no keys of small order, no second signature for the same
//! message. Other tools can make it:
//!
//! ```sh
//! { echo 'tower-plugin manifest 1'; jq -jcS 'del(.signature)' manifest.json; } > signed
//! openssl pkeyutl -sign -rawin -inkey key.pem -in signed | base64 -w0
//! ```

mod build_info;
mod canonical;
mod document;
mod entry;
mod error;
mod fields;
mod keys;
mod limits;
mod policy;
mod shelf;
mod structure;
mod timestamp;
mod watermark;
mod wire;
mod write;

pub use build_info::BuildInfo;
pub use document::{Manifest, VerifiedManifest};
pub use entry::PluginEntry;
pub use error::{ManifestError, ManifestErrorKind};
pub use keys::{ManifestKey, TrustedKeys};
pub use limits::ManifestLimits;
pub use policy::ManifestPolicy;
pub(super) use shelf::{Presence, Shelf};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub(super) use watermark::ReadOnly;
pub use watermark::{FileWatermark, Mark, MemoryWatermark, Watermark};
pub use write::{ManifestBuilder, sign};

#[cfg(test)]
mod tests;
