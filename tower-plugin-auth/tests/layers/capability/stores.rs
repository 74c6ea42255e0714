//! Stores that answer at once, later, or not at all.

use std::{future::Future, pin::Pin, time::SystemTime};

use super::*;

/// What is known at once needs no second inner service: one that cannot be cloned would do.
#[tokio::test]
async fn what_memory_answers_is_answered_at_once_by_the_service_that_was_ready() {
    #[derive(Debug)]
    struct Single;
    impl Clone for Single {
        fn clone(&self) -> Self {
            panic!("cloned");
        }
    }
    impl Service<Request<Body>> for Single {
        type Response = Response<Body>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::ready(Ok(Response::new(Body::default())))
        }
    }
    let broker = broker(&ManualClock::new());
    let counted = GrantRequest::new(cache(), "files").with_max_uses(limited(1));
    let counted = broker.request(counted).await.unwrap();
    let mut service = CapabilityLayer::new(broker.clone()).layer(Single);
    for (token, status) in [
        (granted(&broker, "files").await.token(), StatusCode::OK),
        (counted.token(), StatusCode::OK),
        (counted.token(), StatusCode::UNAUTHORIZED),
    ] {
        let response = service.ready().await.unwrap();
        let response = response.call(request(token, "files", "/")).await.unwrap();
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_store_that_takes_its_time_decides_the_same() {
    let clock = ManualClock::new();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let slow = SharedGrantStore::new(Slow(MemoryGrantStore::new(10).unwrap()));
    let broker = CapabilityBroker::builder(slow, keys).with_policy(AllowAll);
    let broker = offering(broker.with_clock(clock.clone()).build().unwrap());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let twice = GrantRequest::new(cache(), "files").with_max_uses(limited(2));
    let counted = broker.request(twice).await.unwrap();
    let plain = granted(&broker, "files").await;
    let call = |token| service.clone().oneshot(request(token, "files", "/x"));
    for _ in 0..2 {
        assert_eq!(
            call(counted.token()).await.unwrap().status(),
            StatusCode::OK
        );
        assert_eq!(call(plain.token()).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(capabilities.last().uri, "/x");
    let response = call(counted.token()).await.unwrap();
    assert_eq!(reason(&response), DenialReason::UsedUp);
    clock.advance(Duration::from_secs(3600));
    let response = call(plain.token()).await.unwrap();
    assert_eq!(reason(&response), DenialReason::Expired);
    assert_eq!(capabilities.calls(), 4);
    assert_eq!(broker.sweep().await.unwrap(), 2);
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_503_without_a_challenge() {
    for (get_fails, at_once) in [(true, true), (true, false), (false, true), (false, false)] {
        let store = Broken {
            inner: MemoryGrantStore::new(10).unwrap(),
            get_fails,
            at_once,
        };
        let keys = KeyRing::random(&SystemRng).unwrap();
        let broker = CapabilityBroker::builder(store, keys).with_policy(AllowAll);
        let broker = offering(broker.build().unwrap());
        let once = GrantRequest::new(cache(), "files").with_max_uses(limited(1));
        let issued = broker.request(once).await.unwrap();
        let capabilities = Capabilities::default();
        let service = capabilities.behind(&broker);
        let response = service.oneshot(request(issued.token(), "files", "/"));
        let response = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().get(WWW_AUTHENTICATE).is_none());
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert!(!text(response).await.contains("10.0.0.7"));
        assert_eq!(capabilities.calls(), 0);
    }
}

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn later<T: Send + 'static>(value: T) -> Later<T> {
    Box::pin(async {
        tokio::task::yield_now().await;
        value
    })
}

#[derive(Debug)]
struct Slow(MemoryGrantStore);

impl GrantStore for Slow {
    type Lookup = Later<FoundGrant>;
    type Using = Later<Result<Counted, StoreError>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        match self.0.get(id) {
            Answer::Ready(found) => Answer::Pending(later(found)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using> {
        match self.0.count_use(id, uses) {
            Answer::Ready(counted) => Answer::Pending(later(counted)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }

    async fn insert(
        &self,
        record: GrantRecord,
        most: usize,
        now: SystemTime,
    ) -> Result<(), InsertGrantError> {
        self.0.insert(record, most, now).await
    }

    async fn revoke(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        self.0.revoke(revocation).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.0.sweep(now).await
    }
}

/// Cannot look up, or cannot count.
#[derive(Debug)]
struct Broken {
    inner: MemoryGrantStore,
    get_fails: bool,
    at_once: bool,
}

impl Broken {
    fn answer<T: Send + 'static>(
        &self,
    ) -> Answer<Result<T, StoreError>, Later<Result<T, StoreError>>> {
        let error = StoreError::unavailable("connection to 10.0.0.7:6379 refused");
        let error = Err(error.with_retry_after(Duration::from_secs(7)));
        match self.at_once {
            true => Answer::Ready(error),
            false => Answer::Pending(later(error)),
        }
    }
}

impl GrantStore for Broken {
    type Lookup = Later<FoundGrant>;
    type Using = Later<Result<Counted, StoreError>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        match (self.get_fails, self.inner.get(id)) {
            (true, _) => self.answer(),
            (false, Answer::Ready(found)) => Answer::Ready(found),
            (false, Answer::Pending(_)) => unreachable!("memory answers at once"),
        }
    }

    fn count_use(&self, _: &TokenId, _: &Uses) -> Answer<Result<Counted, StoreError>, Self::Using> {
        self.answer()
    }

    async fn insert(
        &self,
        record: GrantRecord,
        most: usize,
        now: SystemTime,
    ) -> Result<(), InsertGrantError> {
        self.inner.insert(record, most, now).await
    }

    async fn revoke(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        self.inner.revoke(revocation).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.inner.sweep(now).await
    }
}
