//! Engine: the verdict on one presented grant.

use std::{num::NonZeroU32, time::SystemTime};

use subtle::Choice;
use tower_plugin_core::Principal;

use super::{
    DenialReason, GrantRecord, LinkId, PresentedGrant, Restriction, Thumbprint, chain::Signature,
};
use crate::token::{KeyRing, same_digest};

/// Decides whether a presented grant lets a request pass.
///
/// `record` is what the store knows under the grant's id, if anything. A grant that nobody knows costs the same
/// HMACs and the same comparison as one with a wrong signature, and nothing else about it is looked at before it is
/// known to be genuine. How often it may still be used, only the store can tell: the request passes when the
/// [uses](Accepted::uses) could be taken there.
///
/// # Errors
///
/// [`DenialReason`], for logs and audit: a caller should be told of no difference between them.
pub fn check(
    keys: &KeyRing,
    presented: &PresentedGrant,
    record: Option<&GrantRecord>,
    asked: &Asked<'_>,
) -> Result<Accepted, DenialReason> {
    // A store that answers with another grant's record must not let anyone in.
    let record = record.filter(|record| record.id() == presented.id());
    let (version, salt) = record.map_or((keys.active(), &[0; 32]), GrantRecord::root);
    let (root, is_known_key) = keys.chain_root(version, &presented.id(), salt);
    let chain = Chain::of(Signature::new(root), presented, record);

    let is_known = Choice::from(u8::from(is_known_key && record.is_some()));
    let sent = presented.signature();
    let is_same = same_digest(chain.last.as_bytes(), sent.as_bytes());
    let is_genuine: bool = (is_same & is_known).into();
    let record = record.ok_or(DenialReason::Unknown)?;
    if !is_genuine {
        return Err(DenialReason::Mismatch);
    }
    if chain.links.iter().any(|link| record.has_revoked(link)) {
        return Err(DenialReason::Revoked);
    }
    record.permit(asked)?;
    chain.restrict(record, presented, asked)
}

/// The signatures from the record to the end of what was presented.
struct Chain {
    last: Signature,
    /// Of the token as issued and then with each caveat; none where nobody will ask.
    links: Vec<LinkId>,
}

impl Chain {
    fn of(root: Signature, presented: &PresentedGrant, record: Option<&GrantRecord>) -> Self {
        let counts = |restriction| matches!(restriction, Restriction::MaxUses(_));
        let are_asked_for = record.is_some_and(GrantRecord::has_revoked_any)
            || presented.restrictions().any(counts);
        let mut links = Vec::new();
        let mut note = |signature: &Signature| {
            if are_asked_for {
                links.push(signature.link());
            }
        };
        note(&root);
        let last = presented.links().fold(root, |signature, (caveat, _)| {
            let next = signature.extend(caveat);
            note(&next);
            next
        });
        Self { last, links }
    }

    fn restrict(
        &self,
        record: &GrantRecord,
        presented: &PresentedGrant,
        asked: &Asked<'_>,
    ) -> Result<Accepted, DenialReason> {
        let mut accepted = Accepted {
            link: self.last.link(),
            expires_at: record.expires_at(),
            uses: Uses {
                of_grant: record.max_uses(),
                of_links: Vec::new(),
            },
        };
        // The first link is of the token without caveats.
        let mut links = self.links.iter().skip(1);
        for restriction in presented.restrictions() {
            let link = links.next();
            if !asked.meets(&restriction) {
                return Err(DenialReason::Caveat(restriction.kind()));
            }
            match (restriction, link) {
                (Restriction::NotAfter(end), _) => {
                    accepted.expires_at = accepted.expires_at.min(end);
                }
                (Restriction::MaxUses(count), Some(link)) => {
                    accepted.uses.of_links.push((*link, count));
                }
                // Nobody can count what has no name.
                (Restriction::MaxUses(_), None) => return Err(DenialReason::UsedUp),
                _ => {}
            }
        }
        Ok(accepted)
    }
}

/// What a request asks a grant for.
#[derive(Clone, Debug)]
#[must_use]
pub struct Asked<'a> {
    capability: &'a str,
    method: &'a str,
    path: &'a str,
    principal: Option<&'a Principal>,
    certificate: Option<&'a [u8]>,
    audience: Option<&'a str>,
    now: SystemTime,
}

impl<'a> Asked<'a> {
    /// Asks for this capability, by this HTTP method, at this path: the one that the capability will see, without
    /// its query.
    pub const fn new(capability: &'a str, method: &'a str, path: &'a str, now: SystemTime) -> Self {
        Self {
            capability,
            method,
            path,
            principal: None,
            certificate: None,
            audience: None,
            now,
        }
    }

    /// Who asks, if that is known. Only somebody who has proved it may stand here.
    pub const fn with_principal(mut self, principal: Option<&'a Principal>) -> Self {
        self.principal = principal;
        self
    }

    /// The client certificate (DER) of the connection, if there is one *and the server has verified it*.
    pub const fn with_certificate(mut self, der: Option<&'a [u8]>) -> Self {
        self.certificate = der;
        self
    }

    /// The name that the server goes by.
    pub const fn with_audience(mut self, name: Option<&'a str>) -> Self {
        self.audience = name;
        self
    }

    pub(crate) const fn capability(&self) -> &'a str {
        self.capability
    }

    pub(super) const fn method(&self) -> &'a str {
        self.method
    }

    pub(super) const fn path(&self) -> &'a str {
        self.path
    }

    pub(super) const fn now(&self) -> SystemTime {
        self.now
    }

    pub(super) fn is_by(&self, kind: &str, subject: &str) -> bool {
        let is_same = |caller: &Principal| caller.kind() == kind && caller.subject() == subject;
        self.principal.is_some_and(is_same)
    }

    pub(super) fn has_certificate(&self, thumbprint: Thumbprint) -> bool {
        let is_same = |der: &[u8]| Thumbprint::of_certificate(der) == thumbprint;
        self.certificate.is_some_and(is_same)
    }

    fn meets(&self, restriction: &Restriction<'_>) -> bool {
        match *restriction {
            Restriction::Audience(name) => self.audience == Some(name),
            Restriction::Certificate(thumbprint) => self.has_certificate(thumbprint),
            Restriction::Holder { kind, subject } => self.is_by(kind, subject),
            Restriction::MaxUses(_) => true,
            Restriction::Methods(methods) => methods.split('|').any(|one| one == self.method),
            Restriction::NotAfter(end) => self.now < end,
            Restriction::PathPrefix(prefix) => is_below(self.path, prefix),
            Restriction::Rpc { service, method } => {
                let path = self.path.strip_prefix('/');
                let (asked, name) = path.and_then(|p| p.split_once('/')).unwrap_or_default();
                let is_name = !name.is_empty() && !name.contains('/');
                let is_covered = method == "*" || method == name;
                self.method == "POST" && asked == service && is_name && is_covered
            }
        }
    }
}

/// Whether a path is this one, or has further segments.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// A grant found to be genuine, live, and good for what was asked.
#[derive(Clone, Debug)]
#[must_use]
pub struct Accepted {
    link: LinkId,
    expires_at: SystemTime,
    uses: Uses,
}

impl Accepted {
    /// Names the token that was presented.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The first instant at which it is no longer valid: the grant's, or an earlier one that a holder has set.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// What is to be counted before the request may pass.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }
}

/// How often a grant may be used, and each link of its chain that has a limit of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Uses {
    of_grant: Option<NonZeroU32>,
    of_links: Vec<(LinkId, NonZeroU32)>,
}

impl Uses {
    /// These limits.
    pub fn new(of_grant: Option<NonZeroU32>, of_links: Vec<(LinkId, NonZeroU32)>) -> Self {
        Self { of_grant, of_links }
    }

    /// Whether nobody counts.
    #[must_use]
    pub fn are_unlimited(&self) -> bool {
        self.of_grant.is_none() && self.of_links.is_empty()
    }

    /// The limit of the grant itself.
    #[must_use]
    pub fn of_grant(&self) -> Option<NonZeroU32> {
        self.of_grant
    }

    /// The limits of links, each for it and all that was derived from it.
    #[must_use]
    pub fn of_links(&self) -> &[(LinkId, NonZeroU32)] {
        &self.of_links
    }
}
