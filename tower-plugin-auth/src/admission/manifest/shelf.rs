//! The manifest in force, and who of those it lists is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::SystemTime,
};

use parking_lot::{Mutex, RwLock};

use super::{ManifestError, ManifestErrorKind, ManifestPolicy, Mark, VerifiedManifest, Watermark};
use crate::admission::{Applicant, RefusalReason, Suspect};

/// Says whether a plugin is there, of which this process may not know.
pub(in crate::admission) type Presence = Arc<dyn Fn(&str) -> bool + Send + Sync>;

pub(in crate::admission) struct Shelf {
    policy: ManifestPolicy,
    watermark: Arc<dyn Watermark>,
    elsewhere: Option<Presence>,
    /// One installation at a time, so that what is in force is what was kept last.
    installing: Mutex<()>,
    in_force: RwLock<Option<Arc<VerifiedManifest>>>,
    /// Names out of the manifest in force, so never more than it lists.
    present: Mutex<BTreeMap<Box<str>, Runs>>,
}

/// By whom a plugin is run.
#[derive(Default)]
struct Runs {
    /// At most [`MAX_PEERS`].
    peers: Vec<Suspect>,
    /// By somebody who is no peer, or by more peers than are kept apart.
    others: bool,
}

impl Shelf {
    pub(in crate::admission) fn new(
        policy: ManifestPolicy,
        watermark: Arc<dyn Watermark>,
        elsewhere: Option<Presence>,
    ) -> Self {
        Self {
            policy,
            watermark,
            elsewhere,
            installing: Mutex::new(()),
            in_force: RwLock::new(None),
            present: Mutex::new(BTreeMap::new()),
        }
    }

    pub(in crate::admission) fn policy(&self) -> &ManifestPolicy {
        &self.policy
    }

    pub(in crate::admission) fn in_force(&self) -> Option<Arc<VerifiedManifest>> {
        self.in_force.read().clone()
    }

    pub(in crate::admission) fn install(
        &self,
        json: &[u8],
        now: SystemTime,
    ) -> Result<Arc<VerifiedManifest>, ManifestError> {
        let manifest = self.policy.verify(json, now)?;
        let mark = Mark::of(&manifest);
        let _one_at_a_time = self.installing.lock();
        let last = self.watermark.load().map_err(ManifestError::watermark)?;
        if last.is_some_and(|last| !mark.may_follow(&last)) {
            return Err(ManifestErrorKind::RolledBack.into());
        }
        // Before it is in force: a crash in between costs nothing.
        if last != Some(mark) {
            self.watermark
                .store(&mark)
                .map_err(ManifestError::watermark)?;
        }
        let manifest = Arc::new(manifest);
        let plugins = manifest.manifest().plugins();
        let listed: BTreeSet<_> = plugins
            .iter()
            .map(|plugin| plugin.name().as_str())
            .collect();
        let mut present = self.present.lock();
        present.retain(|name, _| listed.contains(&**name));
        *self.in_force.write() = Some(Arc::clone(&manifest));
        Ok(manifest)
    }

    pub(in crate::admission) fn decide(
        &self,
        applicant: &Applicant<'_>,
        now: SystemTime,
    ) -> Result<(), RefusalReason> {
        let manifest = self.in_force().ok_or(RefusalReason::ManifestMissing)?;
        // Somebody else's closure is not to run under the lock.
        let is_there = |name: &str| {
            let is_here = self.present.lock().contains_key(name);
            is_here
                || self
                    .elsewhere
                    .as_ref()
                    .is_some_and(|is_there| is_there(name))
        };
        self.policy.decide(&manifest, applicant, now, is_there)
    }

    /// Notes that a plugin is there, if it is still listed, and which peer runs it.
    pub(in crate::admission) fn arrived(&self, name: &str, peer: Option<Suspect>) {
        let mut present = self.present.lock();
        let in_force = self.in_force.read();
        let is_listed = in_force.as_ref().is_some_and(|manifest| {
            let plugins = manifest.manifest().plugins();
            plugins.iter().any(|plugin| plugin.name().as_str() == name)
        });
        if is_listed {
            let runs = present.entry(name.into()).or_default();
            match peer {
                Some(peer) if runs.peers.contains(&peer) => {}
                Some(peer) if runs.peers.len() < MAX_PEERS => runs.peers.push(peer),
                Some(_) | None => runs.others = true,
            }
        }
    }

    /// Notes that whatever a peer has run is gone. What others run as well stays.
    pub(in crate::admission) fn left_with(&self, peer: &Suspect) {
        self.present.lock().retain(|_, runs| {
            let before = runs.peers.len();
            runs.peers.retain(|one| one != peer);
            runs.peers.len() == before || runs.others || !runs.peers.is_empty()
        });
    }

    /// While this is held nobody arrives or leaves.
    #[cfg(test)]
    pub(in crate::admission) fn hold(&self) -> impl Sized + '_ {
        self.present.lock()
    }

    pub(in crate::admission) fn left(&self, name: &str) {
        self.present.lock().remove(name);
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Of how many peers one plugin is known to be run. More than run one.
const MAX_PEERS: usize = 64;
