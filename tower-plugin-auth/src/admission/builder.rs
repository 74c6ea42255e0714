use std::{fmt, future::Future, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Principal;
#[cfg(feature = "manifest")]
use {
    super::manifest::{ManifestPolicy, MemoryWatermark, Presence, ReadOnly, Shelf, Watermark},
    std::path::PathBuf,
    tower_plugin_core::{Clock, SystemClock},
};

use super::{
    Admission, AdmissionEvent, Inner, Rule, Suspect,
    event::Observer,
    isolate::{RevokeGrants, RevokeGrantsOf},
    owed::Owed,
    place::Places,
    quarantine::Quarantine,
};
use crate::{
    config::InvalidConfig,
    grant::GrantRecord,
    store::{GrantStore, StoreError},
};

/// Settings of [`Admission`], checked by [`build`](Self::build).
///
/// ```
/// use tower_plugin_auth::admission::{Admission, Rule};
///
/// let error = Admission::builder(Rule::Open).with_max_concurrent(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "max_concurrent_admissions must be between 1 and 1024");
/// ```
#[must_use]
pub struct AdmissionBuilder {
    rule: Rule,
    max_concurrent: usize,
    max_quarantined: usize,
    quarantined: Vec<Suspect>,
    observer: Observer,
    revoke_grants: Option<RevokeGrants>,
    revoke_grants_of: Option<RevokeGrantsOf>,
    #[cfg(feature = "manifest")]
    manifests: Option<ManifestPolicy>,
    #[cfg(feature = "manifest")]
    manifest_path: Option<PathBuf>,
    #[cfg(feature = "manifest")]
    watermark: Arc<dyn Watermark>,
    #[cfg(feature = "manifest")]
    read_only_watermark: bool,
    #[cfg(feature = "manifest")]
    presence: Option<Presence>,
    #[cfg(feature = "manifest")]
    clock: Arc<dyn Clock>,
}

impl AdmissionBuilder {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            max_concurrent: 3,
            max_quarantined: 10_000,
            quarantined: Vec::new(),
            observer: Observer::default(),
            revoke_grants: None,
            revoke_grants_of: None,
            #[cfg(feature = "manifest")]
            manifests: None,
            #[cfg(feature = "manifest")]
            manifest_path: None,
            #[cfg(feature = "manifest")]
            watermark: Arc::new(MemoryWatermark::new()),
            #[cfg(feature = "manifest")]
            read_only_watermark: false,
            #[cfg(feature = "manifest")]
            presence: None,
            #[cfg(feature = "manifest")]
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How many admissions may go on at once: 3 by default, 1 to 1024. One that finds no place is told to come
    /// back; nobody waits.
    pub fn with_max_concurrent(mut self, admissions: usize) -> Self {
        self.max_concurrent = admissions;
        self
    }

    /// How many suspects may be kept out: 10,000 by default, 1 to 1,000,000.
    pub fn with_max_quarantined(mut self, suspects: usize) -> Self {
        self.max_quarantined = suspects;
        self
    }

    /// Keeps these out from the beginning: those of the last run, or of another copy.
    pub fn with_quarantined(mut self, suspects: impl IntoIterator<Item = Suspect>) -> Self {
        self.quarantined.extend(suspects);
        self
    }

    /// Is told of everything that happens at the door. It runs on the way of an admission: it must not block.
    pub fn with_observer(
        mut self,
        observe: impl Fn(&AdmissionEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Observer(Some(Arc::new(observe)));
        self
    }

    /// Revokes in this store the grants of somebody who is put in quarantine. Hand the broker a clone or an `Arc`
    /// of the same one.
    ///
    /// All records are gone through, and each says by its own principal whether it was issued to the suspect, to a
    /// run of it or to a run that was admitted as it: whatever has become of the tokens. A store that
    /// [cannot do that](GrantStore::revoke_where) makes each quarantine an error.
    ///
    /// Without this and without [`with_grant_revocation`](Self::with_grant_revocation) grants live on: one that is
    /// bound to its principal is good for nothing once its holder's token is dead, while one of a bearer or a
    /// certificate is good until it expires.
    pub fn with_grant_store(mut self, store: impl GrantStore) -> Self {
        let store = Arc::new(store);
        self.revoke_grants_of = Some(Arc::new(move |suspect: Suspect| {
            let store = Arc::clone(&store);
            Box::pin(async move {
                let covers = |record: &GrantRecord| suspect.owns_as(record.principal());
                store.revoke_where(&covers).await
            })
        }));
        self
    }

    /// Revokes the grants of somebody who is put in quarantine, and says how many there were: for grants that are in
    /// no [store](Self::with_grant_store) of ours.
    ///
    /// It is called for the suspect itself (a plugin as a principal of kind `plugin`), then for each owner of tokens
    /// that were revoked, and, where that has failed or was cancelled, for the same ones when the quarantine is
    /// done again by this process. Whose tokens were gone before, it is not told.
    pub fn with_grant_revocation<F>(
        mut self,
        revoke: impl Fn(Principal) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<u64, StoreError>> + Send + 'static,
    {
        self.revoke_grants = Some(Arc::new(move |holder| Box::pin(revoke(holder))));
        self
    }

    /// What to make of manifests; [`Rule::Manifest`] needs it.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_manifests(mut self, policy: ManifestPolicy) -> Self {
        self.manifests = Some(policy);
        self
    }

    /// Where [`load_manifest`](Admission::load_manifest) finds one.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_manifest_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.manifest_path = Some(path.into());
        self
    }

    /// What remembers the last manifest, so that no earlier one is installed: memory by default, which a restart
    /// clears.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_watermark(mut self, watermark: impl Watermark + 'static) -> Self {
        self.watermark = Arc::new(watermark);
        self
    }

    /// Asks the [watermark](Self::with_watermark) and never tells it: false by default. For an [`Admission`] that
    /// tries a configuration which another one uses; that a mark could not be kept, it does not find out.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_read_only_watermark(mut self, read_only: bool) -> Self {
        self.read_only_watermark = read_only;
        self
    }

    /// Is asked, by its name, whether a plugin is there that was not admitted by this process: by another copy, or
    /// before a restart.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_presence(
        mut self,
        is_there: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.presence = Some(Arc::new(is_there));
        self
    }

    /// Where it reads the time that manifests are valid at; tests hand in a
    /// [`ManualClock`](tower_plugin_core::ManualClock).
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the first one that is outside its range, or means nothing beside the others.
    pub fn build(self) -> Result<Admission, InvalidConfig> {
        self.rule.validate()?;
        if !(1..=1024).contains(&self.max_concurrent) {
            return Err(InvalidConfig::new(
                "max_concurrent_admissions",
                "between 1 and 1024",
            ));
        }
        if !(1..=1_000_000).contains(&self.max_quarantined) {
            return Err(InvalidConfig::new(
                "max_quarantined",
                "between 1 and 1000000",
            ));
        }
        let mut quarantine = Quarantine::new(self.max_quarantined);
        if !self
            .quarantined
            .iter()
            .all(|suspect| quarantine.put(suspect))
        {
            return Err(InvalidConfig::new("quarantined", "at most max_quarantined"));
        }
        #[cfg(feature = "manifest")]
        self.validate_manifests()?;
        #[cfg(feature = "manifest")]
        let watermark: Arc<dyn Watermark> = match self.read_only_watermark {
            true => Arc::new(ReadOnly::new(self.watermark)),
            false => self.watermark,
        };
        Ok(Admission(Arc::new(Inner {
            rule: self.rule,
            places: Places::new(self.max_concurrent),
            quarantine: Mutex::new(quarantine),
            observer: self.observer,
            revoke_grants: self.revoke_grants,
            revoke_grants_of: self.revoke_grants_of,
            owed: Mutex::new(Owed::default()),
            #[cfg(feature = "manifest")]
            shelf: self
                .manifests
                .map(|policy| Shelf::new(policy, watermark, self.presence)),
            #[cfg(feature = "manifest")]
            manifest_path: self.manifest_path,
            #[cfg(feature = "manifest")]
            clock: self.clock,
        })))
    }

    #[cfg(feature = "manifest")]
    fn validate_manifests(&self) -> Result<(), InvalidConfig> {
        match (&self.manifests, self.rule.asks_for_manifest()) {
            (None, true) => Err(InvalidConfig::new(
                "manifests",
                "set where the rule asks for them",
            )),
            (Some(_), false) => Err(InvalidConfig::new("rule", "one that asks for the manifest")),
            (None, false) if self.manifest_path.is_some() => {
                Err(InvalidConfig::new("rule", "one that asks for the manifest"))
            }
            (None, false) => Ok(()),
            (Some(policy), true) => {
                policy.validate()?;
                if policy.accepts_declared() && !self.rule.takes_proof() {
                    return Err(InvalidConfig::new(
                        "accept_declared_artifacts",
                        "false unless a secret or a peer is required as well",
                    ));
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for AdmissionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionBuilder")
            .field("rule", &self.rule)
            .field("max_concurrent", &self.max_concurrent)
            .field("max_quarantined", &self.max_quarantined)
            .finish_non_exhaustive()
    }
}
