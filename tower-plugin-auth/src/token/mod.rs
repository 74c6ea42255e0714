//! Engine: opaque tokens: wire format, keyed digests, records, and the verdict on one presented token.
//!
//! Nothing here reads a clock, draws randomness or knows of HTTP: time comes in as `now`, randomness as
//! a [`Rng`].
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_plugin_auth::{
//!     Principal, SystemRng,
//!     token::{KeyRing, PresentedToken, Record, TokenKind, check, mint},
//! };
//!
//! let keys = KeyRing::random(&SystemRng)?;
//! let minted = mint(TokenKind::Runtime, &keys, &SystemRng)?;
//! let record = Record::new(&minted, Principal::new("runtime", "cache"), UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(60));
//!
//! let presented = PresentedToken::parse(minted.token().expose().as_bytes())?;
//! let now = UNIX_EPOCH + Duration::from_secs(59);
//! assert!(check(&keys, &presented, Some(&record), now).is_ok());
//! assert!(check(&keys, &presented, None, now).is_err());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod check;
mod format;
mod id;
mod key_ring;
mod mint;
mod record;
mod rng;
mod runtime_id;
mod same;
mod secret;

pub use check::{InvalidReason, check};
pub use format::{MalformedToken, PresentedToken, TOKEN_LEN, TokenKind};
pub use id::{InvalidTokenId, TokenId};
pub use key_ring::{InvalidKey, InvalidKeyRing, KeyRing, Pepper, Verifier};
pub use mint::{Minted, mint};
pub use record::{EXPIRES_AT, InvalidRecord, Record};
pub(crate) use record::{MAX_ATTRIBUTES, Reader, Writer};
pub use rng::{Rng, RngError};
pub use runtime_id::{InvalidSelfId, SelfId};
pub(crate) use same::same_digest;
pub use secret::SecretToken;
