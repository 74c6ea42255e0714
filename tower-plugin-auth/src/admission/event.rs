use std::{fmt, sync::Arc};

use tower_plugin_core::Principal;

#[cfg(feature = "manifest")]
use super::manifest::{ManifestError, VerifiedManifest};
use super::{Grounds, RefusalReason, Suspect};
use crate::token::SelfId;

/// What has happened at the door, for audit and alarms. It holds no secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AdmissionEvent<'a> {
    /// Somebody was let in.
    Admitted {
        /// What it calls itself.
        self_id: &'a SelfId,
        /// By what.
        grounds: Grounds,
        /// Who it was verified to be.
        peer: Option<&'a Principal>,
        /// Who it is from now on, where its token was issued here.
        principal: Option<&'a Principal>,
    },
    /// A manifest is in force.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    ManifestInstalled {
        /// Which one.
        manifest: &'a VerifiedManifest,
    },
    /// A manifest was refused; the one in force stays.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    ManifestRefused {
        /// Why.
        error: &'a ManifestError,
    },
    /// Somebody is in quarantine.
    Quarantined {
        /// Who.
        suspect: &'a Suspect,
        /// How many of its tokens were revoked: `None` if the store could not be asked, and some may live.
        tokens: Option<u64>,
        /// How many of its grants were revoked: `None` likewise, and where nobody was told to revoke any.
        grants: Option<u64>,
    },
    /// Somebody was refused.
    Refused {
        /// What it calls itself.
        self_id: &'a SelfId,
        /// Who it was verified to be.
        peer: Option<&'a Principal>,
        /// The exact reason, which it is not told.
        reason: RefusalReason,
    },
    /// Somebody may apply again.
    Released {
        /// Who.
        suspect: &'a Suspect,
    },
}

/// Told of every event, on the thread on which it happens.
#[derive(Clone, Default)]
pub(super) struct Observer(pub(super) Option<Arc<Observe>>);

type Observe = dyn Fn(&AdmissionEvent<'_>) + Send + Sync;

impl Observer {
    pub(super) fn tell(&self, event: &AdmissionEvent<'_>) {
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
