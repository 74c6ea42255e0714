use crate::{
    audit::{
        AuditEvent, AuditSink, Outcome, Party, refusal,
        vocabulary::{AUTHZ_CHANGE, AUTHZ_FAIL, GRANT_USED},
    },
    broker::{Grant, GrantEvent, GrantRequest, RequestError},
    grant::{DenialReason, GrantRecord, Holder},
    store::GrantRevocation,
    token::TokenId,
};

/// Which uses of grants are written down.
///
/// A use is a request that a grant has let through, so there are as many as requests, and a sink that is bounded drops
/// what comes too fast: uses may push out what matters more. Refused ones are written down whatever is said here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrantUses {
    /// All of them.
    All,
    /// Those of grants whose uses are counted, so that the log says what has become of each: the grants that are
    /// not used often. It is the default.
    #[default]
    Counted,
    /// None.
    None,
}

impl GrantUses {
    fn include(self, grant: &Grant) -> bool {
        match self {
            Self::All => true,
            Self::Counted => grant.uses_left().is_some(),
            Self::None => false,
        }
    }
}

/// An observer for [`CapabilityBrokerBuilder::with_observer`](crate::broker::CapabilityBrokerBuilder::with_observer)
/// that writes down who was granted what, who was not, what was presented in vain, and each use that was counted.
///
/// [`grants_with_uses`] writes down the other uses as well, or none.
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
    grants_with_uses(sink, GrantUses::default())
}

/// As [`grants`], and says which uses are written down.
///
/// A use is a [`GRANT_USED`] of the grant by its public id: the [subject](AuditEvent::subject) is whose grant it is,
/// and the details say for which capability it is, by which [link](crate::Grant::link) of it the request has passed,
/// and how many uses of that are left if they are counted. Who has sent the request, an
/// [`AuditLayer`](crate::audit::AuditLayer) knows.
pub fn grants_with_uses(
    sink: impl AuditSink + 'static,
    uses: GrantUses,
) -> impl Fn(&GrantEvent<'_>) + Send + Sync + 'static {
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
        GrantEvent::Used { grant } if uses.include(grant) => used(&sink, grant),
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
        .with_reason(refusal::denied(reason))
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

fn used(sink: &impl AuditSink, grant: &Grant) {
    let (id, link) = (grant.id().to_string(), grant.link().to_string());
    let left = grant.uses_left().map(|left| left.to_string());
    let mut details = vec![("capability", grant.capability()), ("link", link.as_str())];
    if let Some(left) = &left {
        details.push(("uses_left", left));
    }
    let event = AuditEvent::new(GRANT_USED, Outcome::Success)
        .with_subject(grant.principal())
        .with_action("use_grant")
        .with_resource(&id)
        .with_details(&details);
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
        GrantRevocation::Subject { .. } => ("subject", None, None),
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
    if let GrantRevocation::Subject { kind, subject } = revocation {
        event = event.with_subject(Party::new(kind, subject));
    }
    sink.record(&event);
}
