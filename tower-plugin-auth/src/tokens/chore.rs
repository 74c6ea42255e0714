//! What is known of a presented token, and what there may be to do about it.

use std::{sync::Arc, time::SystemTime};

use super::{Inner, Outcome, TokenEvent, Tokens, Verified, VerifyError, meter};
use crate::{
    store::{Found, Revocation, TokenStore},
    token::{InvalidReason, PresentedToken, Record, check},
};

impl<S> Inner<S> {
    pub(super) fn decide(&self, presented: &PresentedToken, found: Found) -> Decision {
        let now = self.clock.wall();
        let record = match found {
            Ok(record) => record,
            Err(error) => {
                meter::store_failed("get");
                self.checks.count(Outcome::Unavailable);
                return Decision::Made(Err(VerifyError::Unavailable(error)));
            }
        };
        let verdict = check(&self.keys, presented, record.as_deref(), now);
        self.checks.count(match verdict {
            Ok(()) => Outcome::Accepted,
            Err(reason) => Outcome::Refused(reason),
        });
        match (verdict, record) {
            (Ok(()), Some(record)) if record.is_touch_due(now) => {
                Decision::After(Chore::Touch(record, now))
            }
            (Ok(()), Some(record)) => Decision::Made(Ok(Verified { record })),
            (Err(InvalidReason::Reused), Some(record)) => Decision::After(Chore::Reused(record)),
            (Err(reason), _) => Decision::Made(Err(reason.into())),
            // Checked tokens have a record.
            (Ok(()), None) => Decision::Made(Err(InvalidReason::Unknown.into())),
        }
    }
}

impl<S: TokenStore> Tokens<S> {
    pub(super) async fn finish(self, chore: Chore) -> Result<Verified, VerifyError> {
        let Inner {
            store,
            limits,
            observer,
            ..
        } = &*self.0;
        match chore {
            Chore::Touch(record, now) => {
                // It was valid when it was looked up. Somebody else may have written this down, and
                // what cannot be written down lets the token die sooner.
                if let Err(error) = store.update(record.touched(now), now).await {
                    meter::store_failed("update");
                    tracing::debug!(%error, "use of a token not written down");
                }
                Ok(Verified { record })
            }
            Chore::Reused(record) => {
                let revoked = match limits.reuse_revokes_family {
                    true => store.revoke(Revocation::Family(record.family())).await,
                    false => Ok(0),
                };
                if let Err(error) = &revoked {
                    meter::store_failed("revoke");
                    tracing::warn!(%error, family = %record.family(), "family of a reused token not revoked");
                }
                observer.tell(&TokenEvent::Reused {
                    record: &record,
                    revoked: revoked.ok().filter(|_| limits.reuse_revokes_family),
                });
                Err(InvalidReason::Reused.into())
            }
        }
    }
}

/// What is known of a presented token, or what to do before that is told.
pub(super) enum Decision {
    Made(Result<Verified, VerifyError>),
    After(Chore),
}

pub(super) enum Chore {
    Touch(Arc<Record>, SystemTime),
    Reused(Arc<Record>),
}
