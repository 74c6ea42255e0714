use http::{Response, request::Parts};
use tower_plugin_core::{Principal, ResponseBody};

use super::AuthError;
use crate::refusal::Refusals;

/// Lets a request pass, with what is known of its sender, or refuses it.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    refusals: Refusals,
    anonymous: Anonymous,
}

/// What becomes of a request without a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anonymous {
    Pass,
    Refuse,
}

impl Gate {
    pub(super) const fn new(refusals: Refusals, anonymous: Anonymous) -> Self {
        Self {
            refusals,
            anonymous,
        }
    }

    pub(super) fn refusals_mut(&mut self) -> &mut Refusals {
        &mut self.refusals
    }

    /// The refusal, or `None` when the request may go on as it is left here.
    pub(super) fn admit<B>(
        &self,
        decision: Result<Principal, AuthError>,
        parts: &mut Parts,
    ) -> Option<Response<ResponseBody<B>>> {
        match (decision, self.anonymous) {
            (Ok(principal), _) => {
                parts.extensions.insert(principal);
                None
            }
            (Err(AuthError::Missing), Anonymous::Pass) => {
                // Whoever was known further out did not prove it here.
                parts.extensions.remove::<Principal>();
                None
            }
            (Err(error), _) => {
                tracing::debug!(?error, "request not authenticated");
                Some(self.refusals.unauthenticated(&error, &parts.headers))
            }
        }
    }
}
