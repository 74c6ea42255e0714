//! Writes down what somebody may have to account for.
//!
//! [`AuditLayer`] makes an [`AuditEvent`] of every refusal, [`tokens`] of whatever happens to tokens,
//! [`grants`] to grants and [`admission`] at the door; an
//! [`AuditSink`] takes them: [`TracingSink`], a closure, or `FileSink` (feature `audit-file`, Unix), whose
//! file tells when somebody has changed it. Events have names of the OWASP [vocabulary] where it has one.

mod actor;
mod event;
#[cfg(all(feature = "audit-file", unix))]
mod file;
mod future;
mod layer;
mod observe;
mod refusal;
mod request;
mod service;
mod sink;
pub mod vocabulary;

#[cfg(all(feature = "audit-file", unix))]
pub use crate::file::{FileKey, FileKeyRing, InvalidFileKey};
pub(crate) use actor::Note;
pub use event::{AuditEvent, Detail, Outcome, Party};
#[cfg(all(feature = "audit-file", unix))]
pub use file::{
    Anchor, FileSink, FileSinkBuilder, FileSinkError, FileSinkErrorKind, FileSinkStats, Finding,
    FindingKind, InvalidAnchor, InvalidLine, OnFull, Report, Verifier, clear,
};
pub use future::ResponseFuture;
pub use layer::AuditLayer;
pub use observe::{GrantUses, admission, grants, grants_with_uses, tokens};
pub use service::Audit;
pub use sink::{AuditSink, TracingSink};
