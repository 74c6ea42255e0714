use std::{fmt, sync::Arc};

use super::{Grant, GrantRequest, RequestError};
use crate::{
    grant::{DenialReason, GrantRecord},
    store::GrantRevocation,
    token::TokenId,
};

/// What has happened to a grant, for audit and alarms. It holds no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum GrantEvent<'a> {
    /// A request was made with something that is not good for it. Whoever sends garbage makes such events as well.
    Denied {
        /// The capability it was made to.
        capability: &'a str,
        /// The grant, if its id could be read. It may be made up, unless there is a record.
        id: Option<TokenId>,
        /// What is known of the grant with this id. Whoever sent a wrong signature need not have anything to do with it.
        record: Option<&'a GrantRecord>,
        /// Why not.
        reason: DenialReason,
    },
    /// A grant was issued.
    Issued {
        /// What was granted.
        record: &'a GrantRecord,
    },
    /// Somebody has asked for a grant and got none.
    Refused {
        /// What for.
        request: &'a GrantRequest,
        /// Why not.
        error: &'a RequestError,
    },
    /// Grants, or some that were derived from them, are good for nothing any more.
    Revoked {
        /// Which ones.
        revocation: GrantRevocation<'a>,
        /// How many grants that concerns.
        count: u64,
    },
    /// A request may pass, and was counted where uses are. What becomes of it, nobody knows yet.
    Used {
        /// By which grant.
        grant: &'a Grant,
    },
}

/// A refusal, until it is told.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) id: Option<TokenId>,
    pub(crate) record: Option<Arc<GrantRecord>>,
    pub(crate) reason: DenialReason,
}

impl Denied {
    /// For what was not even looked up.
    pub(crate) fn unknown(id: Option<TokenId>, reason: impl Into<DenialReason>) -> Self {
        Self {
            id,
            record: None,
            reason: reason.into(),
        }
    }
}

/// Told of every event, on the thread on which it happens.
#[derive(Clone, Default)]
pub(super) struct Observer(pub(super) Option<Arc<Observe>>);

type Observe = dyn Fn(&GrantEvent<'_>) + Send + Sync;

impl Observer {
    pub(super) fn tell(&self, event: &GrantEvent<'_>) {
        if let Some(observe) = &self.0 {
            observe(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
