use std::{sync::Arc, time::SystemTime};

use tower_plugin_core::Principal;

use crate::{
    grant::{Accepted, GrantRecord, Holder, LinkId},
    token::TokenId,
};

/// The grant by which a request has passed: in its extensions, for the capability to see.
///
/// It holds no secret, so its `Debug` output may be logged. A clone costs one reference count.
#[derive(Clone, Debug)]
pub struct Grant {
    record: Arc<GrantRecord>,
    link: LinkId,
    expires_at: SystemTime,
    uses_left: Option<u32>,
}

impl Grant {
    pub(super) fn new(
        record: Arc<GrantRecord>,
        accepted: &Accepted,
        uses_left: Option<u32>,
    ) -> Self {
        Self {
            record,
            link: accepted.link(),
            expires_at: accepted.expires_at(),
            uses_left,
        }
    }

    /// Its public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.record.id()
    }

    /// The type of the capability.
    #[must_use]
    pub fn capability(&self) -> &str {
        self.record.capability()
    }

    /// To whom it was issued. That is not who has sent the request, where the grant is for a
    /// [bearer](Holder::Bearer) or a certificate.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.record.principal()
    }

    /// Who may use it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.record.holder()
    }

    /// Names the token that was sent, among those that were derived from the one issued.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The first instant at which the token is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// How often the token may be used after this, as far as is known now: others may use it, too, and what was
    /// derived from it. `None` where uses are not counted.
    #[must_use]
    pub fn uses_left(&self) -> Option<u32> {
        self.uses_left
    }

    /// What the store knows of it.
    #[must_use]
    pub fn record(&self) -> &GrantRecord {
        &self.record
    }
}
