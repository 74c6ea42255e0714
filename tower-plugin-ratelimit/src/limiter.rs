use std::{fmt, hash::Hasher, time::Duration};

use tower_plugin_core::Answer;

use crate::{Cost, Decision, Now, Policy};

mod either;

pub use either::{EitherFuture, EitherHasher, EitherLimiter};

/// Decides, and remembers what was spent.
///
/// Clones share their state. A limiter that knows the answer gives it at once; one that must ask
/// elsewhere returns a future. So a limiter in memory is never boxed, polled or awaited.
pub trait Limiter {
    /// Takes in what identifies a caller; keyed, so that nobody outside can aim at a hash.
    type Hasher: Hasher + Clone;
    /// The answer that takes time.
    type Future: Future<Output = Result<Decision, Unavailable>>;

    /// Starts a key of this policy.
    fn hasher(&self, policy: &Policy) -> Self::Hasher;

    /// Does something with the quotas of a key, all of them or none, and says where it stands.
    fn apply(
        &self,
        policy: &Policy,
        key: Self::Hasher,
        operation: Operation,
    ) -> Answer<Result<Decision, Unavailable>, Self::Future>;

    /// Decides whether the key may spend `cost` now, and debits it if so.
    #[inline]
    fn check(
        &self,
        policy: &Policy,
        key: Self::Hasher,
        cost: Cost,
    ) -> Answer<Result<Decision, Unavailable>, Self::Future> {
        self.apply(policy, key, Operation::Check(cost))
    }
}

/// What to do with the quotas of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a limiter has to do every one of them"
)]
pub enum Operation {
    /// Debits a cost that was incurred whether or not it fits. Always allowed.
    Charge(Cost),
    /// Debits a cost if it fits.
    Check(Cost),
    /// Says whether a cost would fit, and debits nothing.
    Peek(Cost),
    /// Takes back a cost that was debited then, less what has drained since. Always allowed.
    Refund {
        /// What was debited.
        cost: Cost,
        /// [`Decision::made_at`] of the decision that debited it.
        debited_at: Now,
    },
    /// Forgets what the key owes. Always allowed.
    Reset,
}

/// A limiter that could not decide: neither a yes nor a no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unavailable {
    retry_after: Duration,
}

impl Unavailable {
    /// Says when asking again may help.
    #[must_use]
    pub const fn new(retry_after: Duration) -> Self {
        Self { retry_after }
    }

    /// When asking again may help.
    #[must_use]
    pub const fn retry_after(self) -> Duration {
        self.retry_after
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rate limiter could not decide")
    }
}

impl std::error::Error for Unavailable {}
