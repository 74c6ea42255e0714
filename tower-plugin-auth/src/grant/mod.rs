//! Engine: capability grants: a record at the server, and a token that its holder can narrow by himself.
//!
//! What a grant allows is written in its [`GrantRecord`], which a store keeps and can drop at any time. The token
//! ([`GrantToken`]) is a chain of HMAC-SHA256: each [`Caveat`] is signed with the signature before it, which is
//! then forgotten. So whoever holds a token can add a caveat without asking anybody, and nobody can take one off.
//! The chain begins with a key of the [`KeyRing`](crate::token::KeyRing) and a salt of the record: who has stolen
//! one of the two cannot make a token.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_plugin_auth::{
//!     Principal, SystemRng,
//!     grant::{Asked, Caveat, GrantRecord, GrantToken, PresentedGrant, check, mint},
//!     token::KeyRing,
//! };
//!
//! let keys = KeyRing::random(&SystemRng)?;
//! let minted = mint(&keys, &SystemRng)?;
//! let (cache, until) = (Principal::new("runtime", "cache"), UNIX_EPOCH + Duration::from_secs(60));
//! let record = GrantRecord::new(&minted, cache.clone(), "logger", UNIX_EPOCH, until)
//!     .with_permission("* /**".parse()?);
//!
//! // Somebody who holds the token hands on less of it, and asks nobody.
//! let narrowed = minted.token().attenuate(&Caveat::methods(["GET"])?)?;
//!
//! let presented = PresentedGrant::parse(narrowed.expose().as_bytes())?;
//! let asked = |method| Asked::new("logger", method, "/lines", UNIX_EPOCH).with_principal(Some(&cache));
//! assert!(check(&keys, &presented, Some(&record), &asked("GET")).is_ok());
//! assert!(check(&keys, &presented, Some(&record), &asked("POST")).is_err());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod caveat;
mod chain;
mod check;
mod denial;
mod format;
mod holder;
mod link;
mod mint;
mod record;
mod secret;
#[cfg(test)]
mod tests;

pub use caveat::{Caveat, CaveatKind, InvalidCaveat, Restriction};
pub use check::{Accepted, Asked, Uses, check};
pub use denial::DenialReason;
pub use format::{MalformedGrant, PresentedGrant};
pub use holder::{Holder, Thumbprint};
pub use link::{InvalidLinkId, LinkId};
pub use mint::{MintedGrant, mint};
pub use record::{GrantRecord, InvalidGrantRecord};
pub use secret::{AttenuateError, GrantToken};

/// The most caveats a token may have.
pub const MAX_CAVEATS: usize = 16;

/// The most bytes that version, id, caveats and signature of a token may have together, before base64url.
pub const MAX_LEN: usize = 2048;
