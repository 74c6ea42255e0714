use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tower_plugin_core::RequestHead;

use crate::{Policy, Quota};

/// Where a layer takes its policy from: one for good, one that can be exchanged, or one for each
/// request.
///
/// See [`RateLimitLayer::new`](crate::RateLimitLayer::new), which takes anything that converts into
/// it.
#[derive(Clone)]
pub struct PolicySource(Source);

#[derive(Clone)]
enum Source {
    Fixed(Policy),
    Live(LivePolicy),
    PerRequest { choose: Choose, otherwise: Policy },
}

type Choose = Arc<dyn Fn(&RequestHead<'_>) -> Option<Policy> + Send + Sync>;

impl PolicySource {
    /// Asks `choose` at each request, and takes `otherwise` where it has no answer.
    ///
    /// Choose by route, by the plan of the principal, or by whatever the layers outside of this one
    /// have left in the extensions. Make the policies beforehand: cloning one is cheap, making one is
    /// not.
    ///
    /// ```
    /// use tower_plugin_ratelimit::{
    ///     Policy, PolicySource, Principal, RateLimitLayer, RequestHead, key,
    /// };
    ///
    /// let free = Policy::new("free", ["1/s".parse()?])?;
    /// let gold = Policy::new("gold", ["100/s".parse()?])?;
    /// let by_plan = PolicySource::per_request(free, move |request: &RequestHead<'_>| {
    ///     let principal = request.extensions.get::<Principal>()?;
    ///     (principal.attribute("plan")? == "gold").then(|| gold.clone())
    /// });
    /// let layer = RateLimitLayer::new(by_plan, key::Principal);
    /// # let _ = layer;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn per_request(
        otherwise: impl Into<Policy>,
        choose: impl Fn(&RequestHead<'_>) -> Option<Policy> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::PerRequest {
            choose: Arc::new(choose),
            otherwise: otherwise.into(),
        })
    }

    /// Takes what a [`PolicyLookupLayer`](crate::lookup::PolicyLookupLayer) outside of this one has
    /// found, and `otherwise` where it found nothing.
    #[cfg(feature = "lookup")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lookup")))]
    #[must_use]
    pub fn found(otherwise: impl Into<Policy>) -> Self {
        Self::per_request(otherwise, |request| {
            let Found(policy) = request.extensions.get()?;
            Some(policy.clone())
        })
    }

    /// Runs `with` on the policy of a request.
    #[inline]
    pub(super) fn with<T>(&self, request: &RequestHead<'_>, with: impl FnOnce(&Policy) -> T) -> T {
        match &self.0 {
            Source::Fixed(policy) => with(policy),
            Source::Live(live) => with(&live.get()),
            Source::PerRequest { choose, otherwise } => match choose(request) {
                Some(policy) => with(&policy),
                None => with(otherwise),
            },
        }
    }
}

/// A policy that was looked up for a request, in its extensions.
#[cfg(feature = "lookup")]
#[derive(Clone)]
pub(crate) struct Found(pub(crate) Policy);

impl From<Policy> for PolicySource {
    fn from(policy: Policy) -> Self {
        Self(Source::Fixed(policy))
    }
}

impl From<Quota> for PolicySource {
    fn from(quota: Quota) -> Self {
        Policy::from(quota).into()
    }
}

impl From<LivePolicy> for PolicySource {
    fn from(live: LivePolicy) -> Self {
        Self(Source::Live(live))
    }
}

impl fmt::Debug for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, policy) = match &self.0 {
            Source::Fixed(policy) => ("fixed", policy.clone()),
            Source::Live(live) => ("live", live.get()),
            Source::PerRequest { otherwise, .. } => ("per request", otherwise.clone()),
        };
        f.debug_struct("PolicySource")
            .field("kind", &kind)
            .field("policy", &policy.name())
            .finish_non_exhaustive()
    }
}

/// A policy that can be exchanged while servers run. Clones are one and the same.
///
/// ```
/// use tower_plugin_ratelimit::{LivePolicy, Policy, RateLimitLayer, key};
///
/// let live = LivePolicy::new(Policy::new("api", ["10/s".parse()?])?);
/// let layer = RateLimitLayer::new(live.clone(), key::Global);
/// // Later, from an admin's handler: what callers owe, they go on owing.
/// live.set(live.get().with_quotas(["5/s".parse()?])?);
/// # let _ = layer;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<RwLock<Policy>>);

impl LivePolicy {
    /// Starts with a policy.
    #[must_use]
    pub fn new(policy: impl Into<Policy>) -> Self {
        Self(Arc::new(RwLock::new(policy.into())))
    }

    /// The policy in force.
    #[must_use]
    pub fn get(&self) -> Policy {
        // Nothing under the lock can panic halfway.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts another into force, from the next decision on.
    pub fn set(&self, policy: impl Into<Policy>) {
        let policy = policy.into();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}
