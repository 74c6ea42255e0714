use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use super::RuleSet;

/// Rules that can be exchanged while servers run. Clones are one and the same.
///
/// A request is checked by one set of rules from its beginning to its end. What [`set`](Self::set)
/// was given applies to every request that arrives after it returned. Looking whether anything
/// changed is one atomic load per request.
///
/// ```
/// use tower_plugin_validate::{LiveRules, Mode, RuleSet, ValidateLayer};
///
/// let live = LiveRules::new(RuleSet::http().with_mode(Mode::Observe));
/// let layer = ValidateLayer::new(live.clone());
/// // Later, from an admin's handler: nothing was observed that should pass.
/// assert_eq!(live.counts().observed, 0);
/// live.set(live.get().as_ref().clone().with_mode(Mode::Enforce));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct LiveRules(Arc<Live>);

#[derive(Debug)]
struct Live {
    /// How often the rules were exchanged.
    version: AtomicU64,
    rules: RwLock<Arc<RuleSet>>,
    refused: AtomicU64,
    observed: AtomicU64,
}

impl LiveRules {
    /// Starts with these rules.
    #[must_use]
    pub fn new(rules: RuleSet) -> Self {
        Self(Arc::new(Live {
            version: AtomicU64::new(0),
            rules: RwLock::new(Arc::new(rules)),
            refused: AtomicU64::new(0),
            observed: AtomicU64::new(0),
        }))
    }

    /// The rules as they are now.
    #[must_use]
    pub fn get(&self) -> Arc<RuleSet> {
        Arc::clone(&self.0.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in their place. The counts go on.
    pub fn set(&self, rules: RuleSet) {
        let rules = Arc::new(rules);
        let mut current = self.0.rules.write().unwrap_or_else(PoisonError::into_inner);
        *current = rules;
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// How often what was found, since these rules were made. Requests in order are not counted:
    /// that would cost each of them a write to shared memory.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            refused: self.0.refused.load(Ordering::Relaxed),
            observed: self.0.observed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn count_refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_observed(&self) {
        self.0.observed.fetch_add(1, Ordering::Relaxed);
    }
}

impl From<RuleSet> for LiveRules {
    fn from(rules: RuleSet) -> Self {
        Self::new(rules)
    }
}

/// How often requests broke a rule.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests that were refused, or redirected to the canonical path.
    pub refused: u64,
    /// Requests that broke rules which are only observed, and were let through.
    pub observed: u64,
}

/// The rules as one service last saw them.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    version: u64,
    rules: Arc<RuleSet>,
}

impl Seen {
    pub(super) fn of(live: &LiveRules) -> Self {
        let rules = live.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        Self {
            // Changes only under the lock that is held here.
            version: live.0.version.load(Ordering::Acquire),
            rules: Arc::clone(&rules),
        }
    }

    /// The rules as they are now.
    #[inline]
    pub(super) fn rules(&mut self, live: &LiveRules) -> &RuleSet {
        if live.0.version.load(Ordering::Acquire) != self.version {
            *self = Self::of(live);
        }
        &self.rules
    }
}
