use std::{
    hash::Hasher,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_plugin_core::Answer;

use super::{Limiter, Operation, Unavailable};
use crate::{Decision, Policy};

/// One of two limiters, where the configuration says which.
///
/// A stack is one type whatever limits it: in memory on a laptop, say, and on Redis in production.
///
/// ```
/// use tower_plugin_ratelimit::{ClientIp, EitherLimiter, Limiter, MemoryLimiter, Quota, RateLimitLayer};
///
/// // A `RedisLimiter`, if one is configured.
/// fn by_address<R: Limiter>(
///     shared: Option<R>,
///     quota: Quota,
/// ) -> Result<
///     RateLimitLayer<ClientIp, EitherLimiter<MemoryLimiter, R>>,
///     Box<dyn std::error::Error>,
/// > {
///     let limiter = match shared {
///         Some(shared) => EitherLimiter::Right(shared),
///         None => EitherLimiter::Left(MemoryLimiter::new(10_000)?),
///     };
///     Ok(RateLimitLayer::with_limiter(limiter, quota, ClientIp::peer()))
/// }
/// # by_address(None::<MemoryLimiter>, "10/s".parse()?)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum EitherLimiter<A, B> {
    /// This one decides.
    Left(A),
    /// That one does.
    Right(B),
}

impl<A: Limiter, B: Limiter> Limiter for EitherLimiter<A, B> {
    type Hasher = EitherHasher<A::Hasher, B::Hasher>;
    type Future = EitherFuture<A::Future, B::Future>;

    #[inline]
    fn hasher(&self, policy: &Policy) -> Self::Hasher {
        EitherHasher(match self {
            Self::Left(limiter) => EitherLimiter::Left(limiter.hasher(policy)),
            Self::Right(limiter) => EitherLimiter::Right(limiter.hasher(policy)),
        })
    }

    /// A key that was hashed by a limiter of the other kind is of no use: [`Unavailable`].
    #[inline]
    fn apply(
        &self,
        policy: &Policy,
        key: Self::Hasher,
        operation: Operation,
    ) -> Answer<Result<Decision, Unavailable>, Self::Future> {
        match (self, key.0) {
            (Self::Left(limiter), EitherLimiter::Left(key)) => {
                match limiter.apply(policy, key, operation) {
                    Answer::Ready(decision) => Answer::Ready(decision),
                    Answer::Pending(left) => Answer::Pending(EitherFuture {
                        state: State::Left { left },
                    }),
                }
            }
            (Self::Right(limiter), EitherLimiter::Right(key)) => {
                match limiter.apply(policy, key, operation) {
                    Answer::Ready(decision) => Answer::Ready(decision),
                    Answer::Pending(right) => Answer::Pending(EitherFuture {
                        state: State::Right { right },
                    }),
                }
            }
            _ => Answer::Ready(Err(Unavailable::new(Duration::from_secs(1)))),
        }
    }
}

/// Takes in a key for an [`EitherLimiter`].
#[derive(Clone, Debug)]
pub struct EitherHasher<A, B>(EitherLimiter<A, B>);

impl<A: Hasher, B: Hasher> EitherHasher<A, B> {
    #[inline]
    fn each(&mut self, left: impl FnOnce(&mut A), right: impl FnOnce(&mut B)) {
        match &mut self.0 {
            EitherLimiter::Left(hasher) => left(hasher),
            EitherLimiter::Right(hasher) => right(hasher),
        }
    }
}

macro_rules! forward {
    ($($method:ident($type:ty)),*) => {
        $(#[inline]
        fn $method(&mut self, value: $type) {
            self.each(|left| left.$method(value), |right| right.$method(value));
        })*
    };
}

// Every method, because a hasher may take in a number otherwise than its bytes.
impl<A: Hasher, B: Hasher> Hasher for EitherHasher<A, B> {
    #[inline]
    fn finish(&self) -> u64 {
        match &self.0 {
            EitherLimiter::Left(hasher) => hasher.finish(),
            EitherLimiter::Right(hasher) => hasher.finish(),
        }
    }

    forward!(
        write(&[u8]),
        write_u8(u8),
        write_u16(u16),
        write_u32(u32),
        write_u64(u64),
        write_u128(u128),
        write_usize(usize),
        write_i8(i8),
        write_i16(i16),
        write_i32(i32),
        write_i64(i64),
        write_i128(i128),
        write_isize(isize)
    );
}

pin_project! {
    /// A decision that an [`EitherLimiter`] takes time for.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct EitherFuture<A, B> {
        #[pin]
        state: State<A, B>,
    }
}

impl<A: Future, B: Future<Output = A::Output>> Future for EitherFuture<A, B> {
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        match self.project().state.project() {
            StateProj::Left { left } => left.poll(cx),
            StateProj::Right { right } => right.poll(cx),
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<A, B> {
        Left { #[pin] left: A },
        Right { #[pin] right: B },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{self, Ready},
        hash::Hash,
    };

    use super::*;
    use crate::{Cost, MemoryLimiter};

    /// Decides as a limiter in memory does, but takes its time.
    #[derive(Clone)]
    struct Slow(MemoryLimiter);

    impl Limiter for Slow {
        type Hasher = <MemoryLimiter as Limiter>::Hasher;
        type Future = Ready<Result<Decision, Unavailable>>;

        fn hasher(&self, policy: &Policy) -> Self::Hasher {
            self.0.hasher(policy)
        }

        fn apply(
            &self,
            policy: &Policy,
            key: Self::Hasher,
            operation: Operation,
        ) -> Answer<Result<Decision, Unavailable>, Self::Future> {
            match self.0.apply(policy, key, operation) {
                Answer::Ready(decision) => Answer::Pending(future::ready(decision)),
                Answer::Pending(_) => panic!("memory knows the answer"),
            }
        }
    }

    type Both = EitherLimiter<MemoryLimiter, Slow>;

    fn policy() -> Policy {
        Policy::new("p", ["2/h".parse().unwrap()]).unwrap()
    }

    fn memory() -> MemoryLimiter {
        MemoryLimiter::new(64).unwrap()
    }

    async fn is_allowed(limiter: &Both, key: impl Hash) -> bool {
        let policy = policy();
        let mut hasher = limiter.hasher(&policy);
        key.hash(&mut hasher);
        let decision = limiter.check(&policy, hasher, Cost::ONE).await;
        decision.unwrap().is_allowed()
    }

    #[tokio::test]
    async fn either_decides_as_it_would_alone() {
        for limiter in [Both::Left(memory()), Both::Right(Slow(memory()))] {
            for key in [("a", 1_u16), ("a", 2), ("b", 1)] {
                assert!(is_allowed(&limiter, key).await);
                assert!(is_allowed(&limiter.clone(), key).await);
                assert!(!is_allowed(&limiter, key).await, "{key:?}");
            }
        }
    }

    #[tokio::test]
    async fn it_finds_what_its_limiter_was_told_without_it() {
        let memory = memory();
        let key = (7_u8, -7_i64, 7_usize, "seven");
        let both = Operation::Charge(Cost::new(2).unwrap());
        assert!(memory.apply_key(&policy(), key, both).is_allowed());
        assert!(!is_allowed(&EitherLimiter::Left(memory), key).await);
    }

    #[tokio::test]
    async fn a_key_hashed_for_the_other_kind_is_no_key() {
        let (left, right) = (Both::Left(memory()), Both::Right(Slow(memory())));
        let policy = policy();
        for (limiter, other) in [(&left, &right), (&right, &left)] {
            let answer = limiter.check(&policy, other.hasher(&policy), Cost::ONE);
            assert!(answer.await.is_err());
        }
    }
}
