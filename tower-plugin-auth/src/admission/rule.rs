//! Engine: what it takes to be admitted.

use std::fmt;

use super::{Applicant, BootstrapSecret, Peers, RefusalReason};
use crate::config::InvalidConfig;

/// What it takes to be admitted.
///
/// ```
/// use tower_plugin_auth::admission::{Admission, BootstrapSecret, Peers, Rule};
///
/// let secret = Rule::Secret(BootstrapSecret::new("correct-horse-battery-staple")?);
/// let peers = Rule::Peer(Peers::new().with_peer("mtls-dns", "cache.plugins.example"));
/// let admission = Admission::builder(Rule::AllOf(vec![secret, peers])).build()?;
/// # let _ = admission;
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Rule {
    /// Nobody is admitted.
    #[default]
    Closed,
    /// **Everybody is admitted**, under any name. It stands alone: as part of another rule it would make that
    /// one mean nothing.
    Open,
    /// Who knows the secret.
    Secret(BootstrapSecret),
    /// Who was verified to be one of these.
    Peer(Peers),
    /// Who is in the [manifest](super::manifest) that was installed last, and runs the program it lists.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    Manifest,
    /// Who meets every one of these.
    AllOf(Vec<Self>),
    /// Who meets one of these; the first that is met counts.
    AnyOf(Vec<Self>),
}

/// By what somebody was admitted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Grounds {
    secret: bool,
    peer: bool,
    manifest: bool,
}

impl Grounds {
    /// It knew the secret.
    #[must_use]
    pub fn secret(self) -> bool {
        self.secret
    }

    /// It was verified to be an allowed peer.
    #[must_use]
    pub fn peer(self) -> bool {
        self.peer
    }

    /// The manifest lists it.
    #[must_use]
    pub fn manifest(self) -> bool {
        self.manifest
    }

    fn and(self, other: Self) -> Self {
        Self {
            secret: self.secret || other.secret,
            peer: self.peer || other.peer,
            manifest: self.manifest || other.manifest,
        }
    }
}

/// `secret+manifest`, or `open` where nothing was asked for.
impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.secret, "secret"),
            (self.peer, "peer"),
            (self.manifest, "manifest"),
        ];
        let mut names = all
            .into_iter()
            .filter_map(|(met, name)| met.then_some(name));
        f.write_str(names.next().unwrap_or("open"))?;
        names.try_for_each(|name| write!(f, "+{name}"))
    }
}

/// What the manifest says of an applicant.
pub(super) type OfManifest<'a> = &'a dyn Fn(&Applicant<'_>) -> Result<(), RefusalReason>;

impl Rule {
    /// Decides on one applicant. `manifest` is asked where the rule wants to know.
    #[cfg_attr(
        not(feature = "manifest"),
        expect(
            clippy::only_used_in_recursion,
            reason = "no rule asks for a manifest without the feature"
        )
    )]
    pub(super) fn decide(
        &self,
        applicant: &Applicant<'_>,
        manifest: OfManifest<'_>,
    ) -> Result<Grounds, RefusalReason> {
        let mut grounds = Grounds::default();
        match self {
            Self::Closed => return Err(RefusalReason::Closed),
            Self::Open => {}
            Self::Secret(secret) => {
                let (name, value) = applicant.secret().ok_or(RefusalReason::SecretMissing)?;
                if !secret.is(name, value) {
                    return Err(RefusalReason::SecretWrong);
                }
                grounds.secret = true;
            }
            Self::Peer(peers) => {
                peers.decide(applicant.peer(), applicant.self_id())?;
                grounds.peer = true;
            }
            #[cfg(feature = "manifest")]
            Self::Manifest => {
                manifest(applicant)?;
                grounds.manifest = true;
            }
            Self::AllOf(rules) => {
                for rule in rules {
                    grounds = grounds.and(rule.decide(applicant, manifest)?);
                }
            }
            Self::AnyOf(rules) => {
                let mut refusal = RefusalReason::Closed;
                for rule in rules {
                    match rule.decide(applicant, manifest) {
                        Ok(grounds) => return Ok(grounds),
                        // What was presented and wrong says more than what was not presented.
                        Err(reason) if refusal.is_absence() => refusal = reason,
                        Err(_) => {}
                    }
                }
                return Err(refusal);
            }
        }
        Ok(grounds)
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        match self {
            Self::Open => Ok(()),
            _ => self.validate_part(1),
        }
    }

    fn validate_part(&self, depth: usize) -> Result<(), InvalidConfig> {
        match self {
            Self::Open => Err(InvalidConfig::new(
                "rule",
                "open alone, not as part of another",
            )),
            Self::Peer(peers) => peers.validate(),
            Self::AllOf(rules) | Self::AnyOf(rules) => {
                if !(1..=MAX_PARTS).contains(&rules.len()) || depth > MAX_DEPTH {
                    return Err(InvalidConfig::new(
                        "rule",
                        "combined of 1 to 16 rules each, at most 4 levels deep",
                    ));
                }
                rules
                    .iter()
                    .try_for_each(|rule| rule.validate_part(depth + 1))
            }
            _ => Ok(()),
        }
    }

    /// Whether a part of it asks for the manifest.
    #[cfg(feature = "manifest")]
    pub(super) fn asks_for_manifest(&self) -> bool {
        match self {
            Self::Manifest => true,
            Self::AllOf(rules) | Self::AnyOf(rules) => rules.iter().any(Self::asks_for_manifest),
            _ => false,
        }
    }

    /// Whether nobody meets it without knowing or proving something, even where the word of a caller is
    /// taken for what it runs.
    #[cfg(feature = "manifest")]
    pub(super) fn takes_proof(&self) -> bool {
        match self {
            Self::Closed | Self::Peer(_) | Self::Secret(_) => true,
            Self::Manifest | Self::Open => false,
            Self::AllOf(rules) => rules.iter().any(Self::takes_proof),
            Self::AnyOf(rules) => rules.iter().all(Self::takes_proof),
        }
    }
}

const MAX_DEPTH: usize = 4;
const MAX_PARTS: usize = 16;

#[cfg(test)]
mod tests;
