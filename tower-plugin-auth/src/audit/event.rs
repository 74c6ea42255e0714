//! Engine: what is worth writing down.

use std::{fmt, net::IpAddr};

use tower_plugin_core::Principal;

/// Something that happened and that somebody may have to account for. It holds no secret.
///
/// Borrowed: making one allocates nothing, and a [sink](super::AuditSink) that keeps it copies what it
/// needs. The time is the sink's business.
///
/// Callers have a say in the resource, the request id and the names of a principal. What the
/// [`AuditLayer`](super::AuditLayer) hands over is visible ASCII of bounded length; a sink escapes the rest.
///
/// ```
/// use tower_plugin_auth::audit::{AuditEvent, Outcome, vocabulary};
///
/// let event = AuditEvent::new(vocabulary::AUTHZ_ADMIN, Outcome::Success)
///     .with_action("quarantine")
///     .with_resource("cache-plugin-7f3a");
/// assert_eq!(event.name(), "authz_admin");
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct AuditEvent<'a> {
    name: &'static str,
    outcome: Outcome,
    actor: Option<Party<'a>>,
    subject: Option<Party<'a>>,
    action: Option<&'a str>,
    resource: Option<&'a str>,
    reason: Option<&'a str>,
    request_id: Option<&'a str>,
    client_ip: Option<IpAddr>,
    details: &'a [Detail<'a>],
}

/// A name and a value that have no field of their own.
pub type Detail<'a> = (&'static str, &'a str);

/// How it went.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was refused.
    Denied,
    /// Nobody could tell, or something broke.
    Error,
    /// It was done, or let through.
    Success,
}

impl Outcome {
    /// Its name in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Success => "success",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who did something, or to whom it was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Party<'a> {
    kind: &'a str,
    subject: &'a str,
    token_id: Option<&'a str>,
}

impl<'a> Party<'a> {
    /// As a [`Principal`] would name him.
    pub const fn new(kind: &'a str, subject: &'a str) -> Self {
        Self {
            kind,
            subject,
            token_id: None,
        }
    }

    /// How he was or will be authenticated.
    #[must_use]
    pub const fn kind(&self) -> &'a str {
        self.kind
    }

    /// Who he is, within that kind.
    #[must_use]
    pub const fn subject(&self) -> &'a str {
        self.subject
    }

    /// The public id of the token he was authenticated by.
    #[must_use]
    pub const fn token_id(&self) -> Option<&'a str> {
        self.token_id
    }
}

impl<'a> From<&'a Principal> for Party<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self {
            kind: principal.kind(),
            subject: principal.subject(),
            token_id: principal.token_id(),
        }
    }
}

impl<'a> AuditEvent<'a> {
    /// Of a name from the [vocabulary](super::vocabulary), or one of your own in `snake_case`.
    pub const fn new(name: &'static str, outcome: Outcome) -> Self {
        Self {
            name,
            outcome,
            actor: None,
            subject: None,
            action: None,
            resource: None,
            reason: None,
            request_id: None,
            client_ip: None,
            details: &[],
        }
    }

    /// Who did it, as far as was proved.
    pub fn with_actor(mut self, actor: impl Into<Party<'a>>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Whom it is about, where that need not be who did it: the owner of a token.
    pub fn with_subject(mut self, subject: impl Into<Party<'a>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// What was done: a method, an operation.
    pub const fn with_action(mut self, action: &'a str) -> Self {
        self.action = Some(action);
        self
    }

    /// What it was done to: a path, the public id of a token.
    pub const fn with_resource(mut self, resource: &'a str) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Why it went as it did, in `UPPER_SNAKE_CASE`.
    pub const fn with_reason(mut self, reason: &'a str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The id of the request it belongs to.
    pub const fn with_request_id(mut self, id: &'a str) -> Self {
        self.request_id = Some(id);
        self
    }

    /// Where the request came from.
    pub const fn with_client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// What has no field of its own; of each name once, and a sink may keep the first eight alone.
    pub const fn with_details(mut self, details: &'a [Detail<'a>]) -> Self {
        self.details = details;
        self
    }

    /// What happened.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it went.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Who did it.
    #[must_use]
    pub const fn actor(&self) -> Option<Party<'a>> {
        self.actor
    }

    /// Whom it is about.
    #[must_use]
    pub const fn subject(&self) -> Option<Party<'a>> {
        self.subject
    }

    /// What was done.
    #[must_use]
    pub const fn action(&self) -> Option<&'a str> {
        self.action
    }

    /// What it was done to.
    #[must_use]
    pub const fn resource(&self) -> Option<&'a str> {
        self.resource
    }

    /// Why it went as it did.
    #[must_use]
    pub const fn reason(&self) -> Option<&'a str> {
        self.reason
    }

    /// The request it belongs to.
    #[must_use]
    pub const fn request_id(&self) -> Option<&'a str> {
        self.request_id
    }

    /// Where the request came from.
    #[must_use]
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// The rest.
    #[must_use]
    pub const fn details(&self) -> &'a [Detail<'a>] {
        self.details
    }
}
