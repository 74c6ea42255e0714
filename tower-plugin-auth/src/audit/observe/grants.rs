use crate::{
    audit::{
        AuditEvent, AuditSink, Outcome, Party,
        vocabulary::{AUTHZ_CHANGE, AUTHZ_FAIL},
    },
    broker::{GrantEvent, GrantRequest, RequestError},
    grant::{CaveatKind, DenialReason, GrantRecord, Holder},
    store::GrantRevocation,
    token::TokenId,
};

/// An observer for [`CapabilityBrokerBuilder::with_observer`](crate::broker::CapabilityBrokerBuilder::with_observer)
/// that writes down who was granted what, who was not, and what was presented in vain.
///
/// Uses are not written down: there are as many as requests. Where they have to be, let an observer of your own
/// record [`GrantEvent::Used`] beside this one.
///
/// ```
/// use std::sync::Arc;
/// use tower_plugin_auth::{
///     CapabilityBroker, SystemRng,
///     audit::{self, TracingSink},
///     store::MemoryGrantStore,
///     token::KeyRing,
/// };
///
/// let broker = CapabilityBroker::builder(MemoryGrantStore::new(10)?, KeyRing::random(&SystemRng)?)
///     .with_observer(audit::grants(Arc::new(TracingSink)))
///     .build()?;
/// # let _ = broker;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn grants(sink: impl AuditSink + 'static) -> impl Fn(&GrantEvent<'_>) + Send + Sync + 'static {
    move |event| match event {
        GrantEvent::Denied {
            capability,
            id,
            record,
            reason,
        } => denied(&sink, capability, id.as_ref(), *record, *reason),
        GrantEvent::Issued { record } => issued(&sink, record),
        GrantEvent::Refused { request, error } => refused(&sink, request, error),
        GrantEvent::Revoked { revocation, count } => revoked(&sink, revocation, *count),
        GrantEvent::Used { .. } => {}
    }
}

fn issued(sink: &impl AuditSink, record: &GrantRecord) {
    let id = record.id().to_string();
    let seconds = record.expires_at().duration_since(std::time::UNIX_EPOCH);
    let expires_at = seconds.unwrap_or_default().as_secs().to_string();
    let holder = match record.holder() {
        Holder::Bearer => "bearer",
        Holder::Certificate(_) => "certificate",
        Holder::Principal => "principal",
    };
    let details = [
        ("capability", record.capability()),
        ("version", record.version()),
        ("holder", holder),
        ("purpose", record.reason()),
        ("expires_at", &expires_at),
    ];
    let event = AuditEvent::new(AUTHZ_CHANGE, Outcome::Success)
        .with_subject(record.principal())
        .with_action("grant")
        .with_resource(&id)
        .with_details(&details);
    sink.record(&event);
}

fn refused(sink: &impl AuditSink, request: &GrantRequest, error: &RequestError) {
    let (outcome, reason) = match error {
        RequestError::AlreadyExists => (Outcome::Error, "ALREADY_EXISTS"),
        RequestError::Denied => (Outcome::Denied, "DENIED"),
        RequestError::Full => (Outcome::Denied, "FULL"),
        RequestError::FullForPrincipal => (Outcome::Denied, "FULL_FOR_PRINCIPAL"),
        RequestError::InvalidTtl => (Outcome::Denied, "INVALID_TTL"),
        RequestError::NoSuchVersion => (Outcome::Denied, "NO_SUCH_VERSION"),
        RequestError::Rng(_) => (Outcome::Error, "NO_RANDOMNESS"),
        RequestError::TooLarge => (Outcome::Denied, "TOO_LARGE"),
        RequestError::Unavailable(_) => (Outcome::Error, "STORE_UNAVAILABLE"),
        RequestError::UnknownCapability => (Outcome::Denied, "UNKNOWN_CAPABILITY"),
    };
    let details = [("purpose", request.reason())];
    let event = AuditEvent::new(AUTHZ_FAIL, outcome)
        .with_actor(request.principal())
        .with_action("request_grant")
        .with_resource(request.capability())
        .with_reason(reason)
        .with_details(&details);
    sink.record(&event);
}

fn denied(
    sink: &impl AuditSink,
    capability: &str,
    id: Option<&TokenId>,
    record: Option<&GrantRecord>,
    reason: DenialReason,
) {
    let id = id.map(TokenId::to_string);
    let details = [("capability", capability)];
    let mut event = AuditEvent::new(AUTHZ_FAIL, Outcome::Denied)
        .with_action("present_grant")
        .with_reason(name(reason))
        .with_details(&details);
    if let Some(id) = &id {
        event = event.with_resource(id);
    }
    // Whose grant it is. Who has sent it is another question.
    if let Some(record) = record {
        event = event.with_subject(record.principal());
    }
    sink.record(&event);
}

fn revoked(sink: &impl AuditSink, revocation: &GrantRevocation<'_>, count: u64) {
    let count = count.to_string();
    let (which, resource, link) = match revocation {
        GrantRevocation::Capability(capability) => {
            ("capability", Some((*capability).to_owned()), None)
        }
        GrantRevocation::Grant(id) => ("grant", Some(id.to_string()), None),
        GrantRevocation::Link { grant, link } => {
            ("link", Some(grant.to_string()), Some(link.to_string()))
        }
        GrantRevocation::Principal { .. } => ("principal", None, None),
    };
    let mut details = vec![("which", which), ("count", count.as_str())];
    if let Some(link) = &link {
        details.push(("link", link));
    }
    let mut event = AuditEvent::new(AUTHZ_CHANGE, Outcome::Success)
        .with_action("revoke_grant")
        .with_details(&details);
    if let Some(resource) = &resource {
        event = event.with_resource(resource);
    }
    if let GrantRevocation::Principal { kind, subject } = revocation {
        event = event.with_subject(Party::new(kind, subject));
    }
    sink.record(&event);
}

const fn name(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::AmbiguousPath => "AMBIGUOUS_PATH",
        DenialReason::Caveat(CaveatKind::Audience) => "CAVEAT_AUDIENCE",
        DenialReason::Caveat(CaveatKind::Certificate) => "CAVEAT_CERTIFICATE",
        DenialReason::Caveat(CaveatKind::Holder) => "CAVEAT_HOLDER",
        DenialReason::Caveat(CaveatKind::MaxUses) => "CAVEAT_MAX_USES",
        DenialReason::Caveat(CaveatKind::Methods) => "CAVEAT_METHODS",
        DenialReason::Caveat(CaveatKind::NotAfter) => "CAVEAT_NOT_AFTER",
        DenialReason::Caveat(CaveatKind::PathPrefix) => "CAVEAT_PATH_PREFIX",
        DenialReason::Caveat(CaveatKind::Rpc) => "CAVEAT_RPC",
        DenialReason::Expired => "EXPIRED",
        DenialReason::Malformed(_) => "MALFORMED",
        DenialReason::Mismatch => "MISMATCH",
        DenialReason::NotHolder => "NOT_HOLDER",
        DenialReason::NotPermitted => "NOT_PERMITTED",
        DenialReason::OtherCapability => "OTHER_CAPABILITY",
        DenialReason::OtherGrant => "OTHER_GRANT",
        DenialReason::Revoked => "REVOKED",
        DenialReason::Unknown => "UNKNOWN",
        DenialReason::UsedUp => "USED_UP",
    }
}
