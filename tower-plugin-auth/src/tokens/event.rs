use std::{fmt, sync::Arc};

use super::meter;
use crate::{
    store::Revocation,
    token::{Record, TokenId},
};

/// What has happened to a token, for audit and alarms. It holds no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenEvent<'a> {
    /// A one-time token was used.
    Consumed {
        /// As it was.
        record: &'a Record,
    },
    /// A new family began.
    Issued {
        /// Its first token.
        record: &'a Record,
    },
    /// A token was presented, with the right secret, after the one that replaced it had been in use
    /// for the whole overlap: its owner has a newer one, so this is a mistake or a thief.
    Reused {
        /// The old token.
        record: &'a Record,
        /// How many tokens of its family were revoked for it: `None` if none were to be, or the store
        /// could not be asked.
        revoked: Option<u64>,
    },
    /// Tokens are valid no longer.
    Revoked {
        /// Which ones.
        revocation: Revocation<'a>,
        /// How many there were.
        count: u64,
    },
    /// A token got a successor.
    Rotated {
        /// The token replaced.
        from: TokenId,
        /// Its successor.
        record: &'a Record,
    },
}

/// Told of every event, on the thread on which it happens.
#[derive(Clone, Default)]
pub(super) struct Observer(pub(super) Option<Arc<Observe>>);

type Observe = dyn Fn(&TokenEvent<'_>) + Send + Sync;

impl Observer {
    pub(super) fn tell(&self, event: &TokenEvent<'_>) {
        meter::happened(event);
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
