//! Engine: what a store keeps of a grant.

use std::{num::NonZeroU32, sync::Arc, time::SystemTime};

use tower_plugin_core::Principal;

use super::{Asked, DenialReason, Holder, LinkId, MintedGrant, mint::Salt};
use crate::{
    authorize::{Permission, permissions::path},
    token::TokenId,
};

mod codec;

pub use codec::InvalidGrantRecord;

/// What a store keeps of a grant: whose it is, what it allows and until when, and a salt.
///
/// It cannot be turned into a token without the key ring. What it says is believed: the chain of a token vouches for
/// its caveats and not for the record, so who can write to a store can widen a grant of which he holds a token. It allows nothing until it is given a
/// [permission](Self::with_permission). It never changes, but for the links that were revoked; how often it was used
/// is the store's to count.
#[derive(Clone, Debug)]
pub struct GrantRecord {
    id: TokenId,
    key_version: u32,
    salt: Salt,
    principal: Principal,
    holder: Holder,
    capability: Box<str>,
    version: Box<str>,
    permissions: Vec<Permission>,
    scope: Vec<Permission>,
    reason: Box<str>,
    max_uses: Option<NonZeroU32>,
    issued_at: SystemTime,
    expires_at: SystemTime,
    revoked: Arc<[LinkId]>,
}

impl GrantRecord {
    /// Describes a new grant for a store: of this principal, who alone may use it, for this capability, from now
    /// until **before** `expires_at`.
    #[must_use]
    pub fn new(
        minted: &MintedGrant,
        principal: Principal,
        capability: &str,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            id: minted.token().id(),
            key_version: minted.key_version(),
            salt: minted.salt().clone(),
            principal,
            holder: Holder::Principal,
            capability: capability.into(),
            version: Box::default(),
            permissions: Vec::new(),
            scope: Vec::new(),
            reason: Box::default(),
            max_uses: None,
            issued_at,
            expires_at,
            revoked: Arc::default(),
        }
    }

    /// Allows this, too. An `{attribute}` in it is one of the principal's.
    #[must_use]
    pub fn with_permission(mut self, permission: Permission) -> Self {
        self.permissions.push(permission);
        self
    }

    /// Takes away what neither this nor another part of the scope covers. Without any, all stays.
    #[must_use]
    pub fn with_scope(mut self, part: Permission) -> Self {
        self.scope.push(part);
        self
    }

    /// Who may use it, instead of the principal alone.
    #[must_use]
    pub fn with_holder(mut self, holder: Holder) -> Self {
        self.holder = holder;
        self
    }

    /// How often it may be used, by whatever is derived from it together.
    #[must_use]
    pub fn with_max_uses(mut self, count: NonZeroU32) -> Self {
        self.max_uses = Some(count);
        self
    }

    /// The version of the capability it was issued for.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// What it was asked for.
    #[must_use]
    pub fn with_reason(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    /// With these links revoked, and no others.
    #[must_use]
    pub fn with_revoked_links(mut self, links: impl IntoIterator<Item = LinkId>) -> Self {
        self.revoked = links.into_iter().collect();
        self
    }

    /// The grant's public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The version of the key its chain begins with.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// To whom it was issued.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who may use it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The type of the capability.
    #[must_use]
    pub fn capability(&self) -> &str {
        &self.capability
    }

    /// The version of the capability, or nothing.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it allows.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// What of that was asked for; everything, if nothing is said.
    pub fn scope(&self) -> &[Permission] {
        &self.scope
    }

    /// Why it was asked for, in the words of whoever did. Whoever shows it must expect anything in it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// How often it may be used.
    #[must_use]
    pub fn max_uses(&self) -> Option<NonZeroU32> {
        self.max_uses
    }

    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The links that were revoked.
    #[must_use]
    pub fn revoked_links(&self) -> &[LinkId] {
        &self.revoked
    }

    pub(super) fn has_revoked(&self, link: &LinkId) -> bool {
        self.revoked.contains(link)
    }

    pub(super) fn has_revoked_any(&self) -> bool {
        !self.revoked.is_empty()
    }

    /// What its chain begins with.
    pub(super) fn root(&self) -> (u32, &[u8; 32]) {
        (self.key_version, &self.salt.0)
    }

    /// Whether the grant itself covers a request, whatever was taken away from it since.
    pub(super) fn permit(&self, asked: &Asked<'_>) -> Result<(), DenialReason> {
        if asked.now() >= self.expires_at {
            return Err(DenialReason::Expired);
        }
        if asked.capability() != &*self.capability {
            return Err(DenialReason::OtherCapability);
        }
        let is_held = match self.holder {
            Holder::Bearer => true,
            Holder::Certificate(thumbprint) => asked.has_certificate(thumbprint),
            Holder::Principal => asked.is_by(self.principal.kind(), self.principal.subject()),
        };
        if !is_held {
            return Err(DenialReason::NotHolder);
        }
        let segments = path::segments(asked.path()).ok_or(DenialReason::AmbiguousPath)?;
        let is_covered = |permission: &Permission| {
            permission.covers(&self.principal, asked.method(), segments.clone())
        };
        let is_asked_for = self.scope.is_empty() || self.scope.iter().any(is_covered);
        if !is_asked_for || !self.permissions.iter().any(is_covered) {
            return Err(DenialReason::NotPermitted);
        }
        Ok(())
    }
}
