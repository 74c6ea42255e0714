//! What the tests of the layers share.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::Service;
use tower_plugin_auth::{
    Answer, InsertError, Issued, ManualClock, MemoryStore, NewToken, Principal, StoreError,
    SystemRng, TokenStore, Tokens,
    store::{Found, List, Revocation},
    token::{KeyRing, Record, TokenId},
};
use tracing::{Event, Metadata, Subscriber, span};

pub(crate) type Body = Full<Bytes>;

pub(crate) fn tokens<S: TokenStore>(store: S, clock: &ManualClock) -> Tokens<S> {
    Tokens::builder(store, KeyRing::random(&SystemRng).unwrap())
        .with_clock(clock.clone())
        .build()
        .unwrap()
}

pub(crate) fn memory_tokens(clock: &ManualClock) -> Tokens<MemoryStore> {
    tokens(MemoryStore::new(100).unwrap(), clock)
}

pub(crate) async fn issue<S: TokenStore>(tokens: &Tokens<S>) -> Issued {
    let name = "Cache Plugin".parse().unwrap();
    tokens.issue(NewToken::runtime(&name)).await.unwrap()
}

/// A request with these headers.
pub(crate) fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let builder = headers
        .iter()
        .fold(Request::builder(), |builder, (name, value)| {
            builder.header(*name, *value)
        });
    builder.body(Body::default()).unwrap()
}

pub(crate) fn bearer(issued: &Issued) -> String {
    format!("Bearer {}", issued.token().expose())
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Answers with the subject of the principal it finds, and counts its calls. It panics when called
/// without having been ready first, as tower allows it to.
#[derive(Debug, Default)]
pub(crate) struct Whoami {
    calls: Arc<AtomicUsize>,
    ready: bool,
}

impl Whoami {
    pub(crate) fn calls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.calls)
    }
}

impl Clone for Whoami {
    fn clone(&self) -> Self {
        Self {
            calls: self.calls(),
            ready: false,
        }
    }
}

impl Service<Request<Body>> for Whoami {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let principal = request.extensions().get::<Principal>();
        let subject = principal.map_or("nobody", Principal::subject).to_owned();
        ready(Ok(Response::builder()
            .status(StatusCode::OK)
            .body(Body::from(subject))
            .unwrap()))
    }
}

/// A memory store that lets its callers wait for every lookup.
#[derive(Debug)]
pub(crate) struct Slow(pub(crate) MemoryStore);

impl TokenStore for Slow {
    type Lookup = Later;

    fn get(&self, id: &TokenId) -> Answer<Found, Later> {
        match self.0.get(id) {
            Answer::Ready(found) => Answer::Pending(Later {
                found: Some(found),
                polled: false,
            }),
            Answer::Pending(_) => unreachable!("the memory store answers at once"),
        }
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        self.0.insert(record, now)
    }

    fn update(
        &self,
        next: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.0.update(next, now)
    }

    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send {
        self.0.take(id)
    }

    fn revoke(
        &self,
        revocation: Revocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.0.revoke(revocation)
    }

    fn list(
        &self,
        list: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send {
        self.0.list(list)
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.0.sweep(now)
    }
}

/// Ready on the second poll.
#[derive(Debug)]
pub(crate) struct Later {
    found: Option<Found>,
    polled: bool,
}

impl Future for Later {
    type Output = Found;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Found> {
        if self.polled {
            return Poll::Ready(self.found.take().unwrap());
        }
        self.polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A store that is down; it says for how long if it knows.
#[derive(Debug)]
pub(crate) struct Down(pub(crate) Option<Duration>);

impl Down {
    fn error(&self) -> StoreError {
        let error = StoreError::unavailable("connection to 10.0.0.7:6379 refused");
        match self.0 {
            None => error,
            Some(delay) => error.with_retry_after(delay),
        }
    }
}

impl TokenStore for Down {
    type Lookup = std::future::Ready<Found>;

    fn get(&self, _: &TokenId) -> Answer<Found, Self::Lookup> {
        match self.0 {
            None => Answer::Ready(Err(self.error())),
            Some(_) => Answer::Pending(ready(Err(self.error()))),
        }
    }

    fn insert(
        &self,
        _: Record,
        _: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        ready(Err(self.error().into()))
    }

    fn update(
        &self,
        _: Record,
        _: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        ready(Err(self.error()))
    }

    fn take(&self, _: &TokenId) -> impl Future<Output = Found> + Send {
        ready(Err(self.error()))
    }

    fn revoke(&self, _: Revocation<'_>) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(Err(self.error()))
    }

    fn list(
        &self,
        _: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send {
        ready(Err(self.error()))
    }

    fn sweep(&self, _: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(Err(self.error()))
    }
}

/// How many warnings are given meanwhile. Each says what it is about and what to do.
pub(crate) fn warnings_in(work: impl FnOnce()) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&count)), work);
    count.load(Ordering::Relaxed)
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        for line in ["message", "impact", "risk", "resolution", "suppress"] {
            let fields = event.metadata().fields();
            assert!(fields.field(line).is_some(), "{line} is missing");
        }
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
