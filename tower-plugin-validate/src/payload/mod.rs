//! What a request carries, checked once it is parsed.
//!
//! A [`Check`] says what is wrong with a value. Types that derive `validator::Validate` have one (feature
//! `validator`), those that derive `garde::Validate` have one in a `Garde` (feature `garde`), and any
//! type may have its own:
//!
//! ```
//! use tower_plugin_validate::payload::{Check, Violations};
//!
//! struct Window {
//!     from: u64,
//!     to: u64,
//! }
//!
//! impl Check for Window {
//!     fn check(&self) -> Result<(), Violations> {
//!         let mut violations = Violations::new();
//!         if self.from > self.to {
//!             violations.add("to", "RANGE", "must not be before `from`");
//!         }
//!         violations.into_result()
//!     }
//! }
//!
//! let violations = Window { from: 2, to: 1 }.check().unwrap_err();
//! assert_eq!(violations.iter().next().unwrap().field(), "to");
//! ```
//!
//! * With the feature `axum`, `Checked<Json<T>>` and its like are extractors: they parse, check, and
//!   refuse in the protocol of the caller.
//! * With the feature `tonic`, `checked` does so for a message, and
//!   `CheckedStream` for each message of a stream.
//! * [`shape`] bounds a JSON text before there is a document.
//!
//! # What a caller is told
//!
//! Which field, by the path of names in the *type* (`body.items[2].email`): names the caller made up, as keys of a
//! map or unknown fields, are shown as `*`. Which rule, and what would be right. Never a value: `validator` keeps the
//! rejected value in its errors and prints it with them, the parsers quote it in theirs, and none of that is passed on.
//! Of a rule's own words only those that are constants in the program are (a message built with `format!` may quote).
//!
//! # Email addresses
//!
//! Do not rely on `#[validate(email)]` for text that goes into a header, a command or a page: `validator` 0.21 takes
//! `a@x\r\nBcc: y[127.0.0.1]` and `a@<script>alert(1)</script>[127.0.0.1]` for addresses, because its pattern for
//! address literals is not anchored at its beginning. Use [`format::email`](crate::format::email()), as any other of the
//! [formats](mod@crate::format):
//!
//! ```
//! # #[cfg(feature = "validator")] {
//! use tower_plugin_validate::{format, payload::Check};
//! use validator::{Validate, ValidationError};
//!
//! #[derive(Validate)]
//! struct Invitation {
//!     #[validate(custom(function = "email"))]
//!     to: String,
//! }
//!
//! fn email(text: &str) -> Result<(), ValidationError> {
//!     format::email(text).map_err(|invalid| {
//!         let message = invalid.format().description();
//!         ValidationError::new(invalid.reason()).with_message(message.into())
//!     })
//! }
//!
//! let refused = Invitation { to: "a@<script>[127.0.0.1]".into() }.check().unwrap_err();
//! let violation = refused.iter().next().unwrap();
//! assert_eq!((violation.field(), violation.reason()), ("to", "EMAIL"));
//! assert_eq!(violation.description(), "must be an email address");
//! # }
//! ```

#[cfg(feature = "axum")]
mod axum;
mod check;
#[cfg(feature = "garde")]
mod garde;
#[cfg(feature = "axum")]
mod named;
pub mod shape;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "validator")]
mod validator;

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::axum::{Checked, CheckedRejection};
#[cfg(feature = "garde")]
#[cfg_attr(docsrs, doc(cfg(feature = "garde")))]
pub use self::garde::Garde;
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub use self::tonic::{CheckedStream, checked};
pub use check::{Check, Violations};
