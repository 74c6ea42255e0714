use std::{fmt, sync::Arc};

use super::{AuditEvent, Outcome};

/// Takes events down.
///
/// It is called on the way of a request and on the threads of an async runtime: it must not block. A sink
/// that cannot keep up drops events and says how many.
///
/// Implemented by [`TracingSink`], `FileSink` (feature `audit-file`) and closures.
pub trait AuditSink: Send + Sync {
    /// Takes one event down. It has no way to fail: nobody on the request's way could help it.
    fn record(&self, event: &AuditEvent<'_>);
}

impl<S: AuditSink + ?Sized> AuditSink for Arc<S> {
    fn record(&self, event: &AuditEvent<'_>) {
        (**self).record(event);
    }
}

impl<F> AuditSink for F
where
    F: Fn(&AuditEvent<'_>) + Send + Sync,
{
    fn record(&self, event: &AuditEvent<'_>) {
        self(event);
    }
}

/// Hands events to `tracing`, under the target `tower_plugin::audit`: those that went well at level
/// `INFO`, all others at `WARN`.
///
/// Every value is escaped before a subscriber sees it, so that none can forge a line of a log. Whether anything is kept, and
/// whether anybody could change it, is the subscriber's affair.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct TracingSink;

impl AuditSink for TracingSink {
    fn record(&self, event: &AuditEvent<'_>) {
        // `tracing` wants a constant level for each place that speaks.
        macro_rules! speak {
            ($level:ident) => {
                tracing::$level!(
                    target: "tower_plugin::audit",
                    event = event.name(),
                    outcome = event.outcome().as_str(),
                    actor.kind = event.actor().map(|party| tracing::field::debug(party.kind())),
                    actor.subject = event.actor().map(|party| tracing::field::debug(party.subject())),
                    actor.token = event.actor().and_then(|party| party.token_id()).map(tracing::field::debug),
                    subject.kind = event.subject().map(|party| tracing::field::debug(party.kind())),
                    subject.subject = event.subject().map(|party| tracing::field::debug(party.subject())),
                    action = event.action().map(tracing::field::debug),
                    resource = event.resource().map(tracing::field::debug),
                    reason = event.reason().map(tracing::field::debug),
                    request_id = event.request_id().map(tracing::field::debug),
                    client_ip = event.client_ip().map(tracing::field::display),
                    details = (!event.details().is_empty()).then(|| tracing::field::debug(event.details())),
                )
            };
        }
        match event.outcome() {
            Outcome::Success => speak!(info),
            Outcome::Denied | Outcome::Error => speak!(warn),
        }
    }
}

/// A sink of no particular type.
#[derive(Clone)]
pub(super) struct SharedSink(pub(super) Arc<dyn AuditSink>);

impl fmt::Debug for SharedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSink").finish_non_exhaustive()
    }
}
