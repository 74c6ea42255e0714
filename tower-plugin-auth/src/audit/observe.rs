//! What the parts of this crate observe, as audit events: one function for each kind of event.

use super::{
    AuditEvent, AuditSink, Outcome, Party,
    vocabulary::{AUTHN_TOKEN_CREATED, AUTHN_TOKEN_DELETE, AUTHN_TOKEN_REUSE, AUTHN_TOKEN_REVOKED},
};
use crate::{TokenEvent, store::Revocation, token::TokenId};

mod admission;
mod grants;

pub use admission::admission;
pub use grants::{GrantUses, grants, grants_with_uses};

/// An observer for [`TokensBuilder::with_observer`](crate::TokensBuilder::with_observer) that writes down
/// what happens to tokens.
///
/// The [subject](AuditEvent::subject) is the owner of the token, the resource its public id. Who asked for
/// it is not known there: the [`AuditLayer`](super::AuditLayer) knows who called.
///
/// ```
/// use std::sync::Arc;
/// use tower_plugin_auth::{
///     MemoryStore, SystemRng, Tokens,
///     audit::{self, TracingSink},
///     token::KeyRing,
/// };
///
/// let tokens = Tokens::builder(MemoryStore::new(10)?, KeyRing::random(&SystemRng)?)
///     .with_observer(audit::tokens(Arc::new(TracingSink)))
///     .build()?;
/// # let _ = tokens;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn tokens(sink: impl AuditSink + 'static) -> impl Fn(&TokenEvent<'_>) + Send + Sync + 'static {
    move |event| record_token(&sink, event)
}

fn record_token(sink: &impl AuditSink, event: &TokenEvent<'_>) {
    let (name, outcome, action, record) = match event {
        TokenEvent::Consumed { record } => {
            (AUTHN_TOKEN_DELETE, Outcome::Success, "consume", *record)
        }
        TokenEvent::Issued { record } => (AUTHN_TOKEN_CREATED, Outcome::Success, "issue", *record),
        TokenEvent::Reused { record, .. } => {
            (AUTHN_TOKEN_REUSE, Outcome::Denied, "present", *record)
        }
        TokenEvent::Rotated { record, .. } => {
            (AUTHN_TOKEN_CREATED, Outcome::Success, "rotate", *record)
        }
        TokenEvent::Revoked { revocation, count } => {
            return record_revocation(sink, revocation, *count);
        }
    };
    let (id, family) = (record.id().to_string(), record.family().to_string());
    let mut details = vec![("family", family.as_str())];
    let predecessor = match event {
        TokenEvent::Rotated { from, .. } => Some(from.to_string()),
        _ => None,
    };
    if let Some(predecessor) = &predecessor {
        details.push(("predecessor", predecessor));
    }
    let revoked = match event {
        // That the family could not be revoked is what an alarm is for.
        TokenEvent::Reused { revoked, .. } => {
            Some(revoked.map_or_else(|| "none".to_owned(), |count| count.to_string()))
        }
        _ => None,
    };
    if let Some(revoked) = &revoked {
        details.push(("revoked", revoked));
    }
    let event = AuditEvent::new(name, outcome)
        .with_subject(record.principal())
        .with_action(action)
        .with_resource(&id)
        .with_details(&details);
    sink.record(&event);
}

fn record_revocation(sink: &impl AuditSink, revocation: &Revocation<'_>, count: u64) {
    let count = count.to_string();
    let revoked = |event: AuditEvent<'_>, which: &'static str, resource: Option<&str>| {
        let details = [("which", which), ("count", count.as_str())];
        let event = event.with_action("revoke").with_details(&details);
        sink.record(&resource.map_or(event, |resource| event.with_resource(resource)));
    };
    let event = AuditEvent::new(AUTHN_TOKEN_REVOKED, Outcome::Success);
    match *revocation {
        // One record each: the count says how many of all of them there were.
        Revocation::Tokens(ids) => {
            for id in ids {
                revoked(event, "token", Some(&TokenId::to_string(id)));
            }
        }
        Revocation::Family(family) => revoked(event, "family", Some(&family.to_string())),
        Revocation::Subject { kind, subject } => {
            let party = Party::new(kind, subject);
            revoked(event.with_subject(party), "subject", None);
        }
        Revocation::BegunBefore(instant) => {
            let since = instant.duration_since(std::time::UNIX_EPOCH);
            let seconds = since.unwrap_or_default().as_secs().to_string();
            revoked(event, "begun_before", Some(&seconds));
        }
    }
}

#[cfg(test)]
mod tests;
