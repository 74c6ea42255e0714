use std::{num::NonZeroU32, time::Duration};

use semver::Version;
use tower_plugin_core::Principal;

use super::{
    Capability, RequestError,
    capability::{MAX_PERMISSIONS, parse},
};
use crate::{
    authorize::Permission,
    config::InvalidConfig,
    grant::{GrantRecord, Holder, Thumbprint},
};

/// Who asks for which capability, and for how much of it.
///
/// The principal is the one an [`AuthLayer`](crate::AuthLayer) has found: whoever puts another one here, grants to
/// that one. Only he may use the grant, unless it says otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct GrantRequest {
    principal: Principal,
    capability: Box<str>,
    min_version: Option<Version>,
    scope: Vec<Permission>,
    reason: Box<str>,
    holder: Holder,
    ttl: Option<Duration>,
    max_uses: Option<NonZeroU32>,
}

impl GrantRequest {
    /// This principal asks for a capability of this type.
    pub fn new(principal: Principal, capability: &str) -> Self {
        Self {
            principal,
            capability: capability.into(),
            min_version: None,
            scope: Vec::new(),
            reason: Box::default(),
            holder: Holder::Principal,
            ttl: None,
            max_uses: None,
        }
    }

    /// Of this version, or of one that takes precedence over it (Semantic Versioning, section 11).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it is no version.
    pub fn with_min_version(mut self, version: &str) -> Result<Self, InvalidConfig> {
        self.min_version = Some(parse("min_version", version)?);
        Ok(self)
    }

    /// Only for this, and for the other parts of the scope, as far as the capability permits it at all. Up to 16.
    pub fn with_scope(mut self, part: Permission) -> Self {
        self.scope.push(part);
        self
    }

    /// What for, in at most 1024 bytes. The policy sees it, and so does the audit.
    pub fn with_reason(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    /// For less long than the capability's grants live.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// For so many uses, or as many as the capability allows if those are fewer.
    pub fn with_max_uses(mut self, count: NonZeroU32) -> Self {
        self.max_uses = Some(count);
        self
    }

    /// For whoever has proved to hold this client certificate, whatever his name.
    pub fn held_by_certificate(mut self, thumbprint: Thumbprint) -> Self {
        self.holder = Holder::Certificate(thumbprint);
        self
    }

    /// For whoever sends it, as callers need it that send nothing else.
    ///
    /// Insecure because whoever sees the token on its way, in a log or in a dump, may use it as well. Let it be
    /// short-lived, or of few uses.
    pub fn with_insecure_bearer(mut self) -> Self {
        self.holder = Holder::Bearer;
        self
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// For a capability of which type.
    #[must_use]
    pub fn capability(&self) -> &str {
        &self.capability
    }

    /// For what of it; everything, if nothing is said.
    pub fn scope(&self) -> &[Permission] {
        &self.scope
    }

    /// What for, in the words of whoever asks.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who is to use it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// For how long, if that was said.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    pub(super) fn accepts(&self, capability: &Capability) -> bool {
        let is_met = |version| capability.is_at_least(version);
        self.min_version.as_ref().is_none_or(is_met)
    }

    /// What the record of a capability's grant says for this one.
    pub(super) fn narrow(&self, record: GrantRecord) -> GrantRecord {
        let record = record.with_holder(self.holder).with_reason(&self.reason);
        let limit = [record.max_uses(), self.max_uses].into_iter().flatten();
        let record = match limit.min() {
            Some(count) => record.with_max_uses(count),
            None => record,
        };
        self.scope
            .iter()
            .cloned()
            .fold(record, GrantRecord::with_scope)
    }

    pub(super) fn check(&self) -> Result<(), RequestError> {
        let (mut count, mut bytes) = (0, self.principal.kind().len());
        bytes += self.principal.subject().len();
        for (name, value) in self.principal.attributes() {
            count += 1;
            bytes += name.len() + value.len();
        }
        let is_reasonable = count <= MAX_ATTRIBUTES
            && bytes <= MAX_PRINCIPAL
            && self.reason.len() <= MAX_REASON
            && self.scope.len() <= MAX_PERMISSIONS
            && self
                .scope
                .iter()
                .all(|part| part.to_string().len() <= MAX_PART);
        match is_reasonable {
            true => Ok(()),
            false => Err(RequestError::TooLarge),
        }
    }
}

/// As a token's owner may have.
const MAX_ATTRIBUTES: usize = crate::token::MAX_ATTRIBUTES;

/// In bytes, all names and values together.
const MAX_PRINCIPAL: usize = 16 * 1024;

/// In bytes.
const MAX_REASON: usize = 1024;

/// In bytes, of one part of the scope.
const MAX_PART: usize = 512;
