use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderValue;

#[cfg(feature = "metrics")]
use std::sync::OnceLock;

#[cfg(feature = "metrics")]
use crate::limit::EventCounters;
use crate::{Quota, limit::headers};

/// A name and one or more quotas that are charged together: all of them, or none.
///
/// `10/s` and `1000/d` in one policy means that a request which the daily quota refuses does not
/// spend the second's. A clone costs one reference count.
///
/// The name tells clients which limit they met (`RateLimit-Policy`) and keeps state apart: two
/// layers share a key's debt only if they share the limiter, the policy's name and its quotas.
///
/// ```
/// use tower_plugin_ratelimit::Policy;
///
/// let policy = Policy::new("api", ["10/s:20".parse()?, "1000/d".parse()?])?;
/// assert_eq!(policy.name(), "api");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    /// Again, because there always is one.
    first: Quota,
    quotas: Box<[Quota]>,
    max_wait: Duration,
    has_calendar: bool,
    header: HeaderValue,
    #[cfg(feature = "metrics")]
    counters: OnceLock<EventCounters>,
    id: u64,
    /// As the id, but of the quotas as they are now.
    #[cfg(feature = "redis")]
    version: u64,
}

impl Policy {
    /// How many quotas one policy may have.
    pub const MAX_QUOTAS: usize = 4;

    /// Names one to four quotas.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if `name` is not 1 to 64 printable ASCII characters without quotes and
    /// backslashes, or if there are no quotas or more than [`MAX_QUOTAS`](Self::MAX_QUOTAS).
    pub fn new(
        name: impl Into<Arc<str>>,
        quotas: impl IntoIterator<Item = Quota>,
    ) -> Result<Self, InvalidPolicy> {
        let name = name.into();
        let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(printable) {
            return Err(InvalidPolicy::Name);
        }
        let quotas: Box<[Quota]> = quotas.into_iter().collect();
        let id = id_of(&name, &quotas, Duration::ZERO);
        Self::assembled(name, &quotas, Duration::ZERO, id).ok_or(InvalidPolicy::Quotas)
    }

    /// Other quotas for the same keys: what they owe, they go on owing.
    ///
    /// Each quota meets the debt of the one in its place. Debt beyond what the new one allows is
    /// forgiven, at worst down to a quota that is spent.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if there are no quotas or more than [`MAX_QUOTAS`](Self::MAX_QUOTAS).
    pub fn with_quotas(
        &self,
        quotas: impl IntoIterator<Item = Quota>,
    ) -> Result<Self, InvalidPolicy> {
        let quotas: Box<[Quota]> = quotas.into_iter().collect();
        Self::assembled(self.0.name.clone(), &quotas, self.0.max_wait, self.0.id)
            .ok_or(InvalidPolicy::Quotas)
    }

    /// Lets requests wait for up to `wait` rather than be refused, first come, first served.
    ///
    /// It shares no state with the policy that does not wait. Calendar quotas refuse all the same.
    #[cfg(feature = "wait")]
    #[cfg_attr(docsrs, doc(cfg(feature = "wait")))]
    #[must_use]
    pub fn with_max_wait(self, wait: Duration) -> Self {
        let id = id_of(&self.0.name, &self.0.quotas, wait);
        let waiting = Self::assembled(Arc::clone(&self.0.name), &self.0.quotas, wait, id);
        waiting.unwrap_or(self)
    }

    /// `None` if there are too few or too many.
    fn assembled(name: Arc<str>, quotas: &[Quota], max_wait: Duration, id: u64) -> Option<Self> {
        let nanos = u64::try_from(max_wait.as_nanos()).unwrap_or(u64::MAX);
        let quotas: Box<[Quota]> = quotas.iter().map(|q| q.with_max_wait(nanos)).collect();
        let first = *quotas.first()?;
        (quotas.len() <= Self::MAX_QUOTAS).then(|| {
            Self(Arc::new(Inner {
                header: headers::policy(&name, &quotas),
                #[cfg(feature = "metrics")]
                counters: OnceLock::new(),
                #[cfg(feature = "redis")]
                version: id_of(&name, &quotas, max_wait),
                name,
                first,
                has_calendar: quotas.iter().any(|quota| quota.is_calendar()),
                quotas,
                max_wait,
                id,
            }))
        })
    }

    /// What clients are told they met.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is charged together.
    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        &self.0.quotas
    }

    /// How long a request may wait before it goes on: not at all, unless the policy was made to.
    #[must_use]
    pub fn max_wait(&self) -> Duration {
        self.0.max_wait
    }

    /// The value of `RateLimit-Policy`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// Whether the wall clock has to be read.
    pub(crate) fn has_calendar(&self) -> bool {
        self.0.has_calendar
    }

    /// Resolved at the first request, so that none after it looks anything up; a recorder must be
    /// installed by then.
    #[cfg(feature = "metrics")]
    pub(crate) fn counters(&self) -> &EventCounters {
        self.0
            .counters
            .get_or_init(|| EventCounters::new(Arc::clone(&self.0.name)))
    }

    pub(crate) fn first_quota(&self) -> Quota {
        self.0.first
    }

    /// Keeps the keys of this policy apart from those of others in the same limiter.
    ///
    /// It follows from the name, the quotas and the wait the policy was made with, the same in every
    /// process and build.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Tells quotas apart that were exchanged for one another.
    #[cfg(feature = "redis")]
    pub(crate) fn version(&self) -> u64 {
        self.0.version
    }
}

/// A quota alone is a policy named `default`.
impl From<Quota> for Policy {
    fn from(quota: Quota) -> Self {
        Self(Arc::new(Inner {
            header: headers::policy("default", &[quota]),
            #[cfg(feature = "metrics")]
            counters: OnceLock::new(),
            name: "default".into(),
            first: quota,
            has_calendar: quota.is_calendar(),
            quotas: Box::new([quota]),
            max_wait: Duration::ZERO,
            id: id_of("default", &[quota], Duration::ZERO),
            #[cfg(feature = "redis")]
            version: id_of("default", &[quota], Duration::ZERO),
        }))
    }
}

/// FNV-1a over what tells policies apart: names and quotas are the operator's, so nobody aims at it.
fn id_of(name: &str, quotas: &[Quota], wait: Duration) -> u64 {
    let mut text = name.to_owned();
    for quota in quotas {
        text.push('\n');
        text.push_str(&quota.to_string());
    }
    let bytes = text
        .into_bytes()
        .into_iter()
        .chain(wait.as_nanos().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A policy that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// The name cannot be sent to clients.
    Name,
    /// There are no quotas, or too many.
    Quotas,
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => {
                "policy: name must be 1 to 64 printable ASCII characters without quotes and backslashes"
            }
            Self::Quotas => "policy: quotas must be 1 to 4",
        })
    }
}

impl std::error::Error for InvalidPolicy {}

/// How much of a quota a request takes: 1 unless you say otherwise, and never 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cost(NonZeroU32);

impl Cost {
    /// What a request costs by default.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// `None` if `units` is 0.
    #[must_use]
    pub const fn new(units: u32) -> Option<Self> {
        match NonZeroU32::new(units) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The cost in units of the quota.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0.get()
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::ONE
    }
}

impl From<NonZeroU32> for Cost {
    fn from(units: NonZeroU32) -> Self {
        Self(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_cannot_be_told_is_refused() {
        let quota = Quota::per_second(1).unwrap();
        let long = "x".repeat(65);
        for name in ["", "a\"b", "a\\b", "a\nb", "ü", long.as_str()] {
            let refused = Policy::new(name, [quota]).unwrap_err();
            assert_eq!(refused, InvalidPolicy::Name, "{name:?}");
        }
        for quotas in [0, 5] {
            let refused = Policy::new("p", std::iter::repeat_n(quota, quotas)).unwrap_err();
            assert!(refused.to_string().contains("1 to 4"));
        }
    }

    #[test]
    fn f35_policies_share_an_id_only_by_name_and_quotas() {
        let [fast, slow] = [1, 2].map(|n| Quota::per_second(n).unwrap());
        let id = |name: &str, quota| Policy::new(name, [quota]).unwrap().id();
        assert_eq!(id("a", fast), id("a", fast));
        assert_ne!(id("a", fast), id("b", fast));
        assert_ne!(id("a", fast), id("a", slow));
        // The same in every process and build, or replicas would limit apart.
        assert_eq!(id("a", fast), 10733470594970408451);
    }
}
