//! What the tests of every layer share: a service that watches how it is called, and bodies that
//! stream; Redis servers of their own, a bad network in front of them, and whether a quota was kept.

#![warn(missing_docs)]

pub mod documents;
pub mod proxy;
pub mod redis;
pub mod windows;

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tower::Service;

/// A body of two chunks and a trailer, one frame at a time.
#[derive(Clone, Debug)]
pub struct Chunks {
    frames: VecDeque<Result<Bytes, HeaderMap>>,
    says_when_it_ended: bool,
    /// Counted by whoever wants to know whether the body is still somewhere.
    canary: Arc<()>,
}

impl Chunks {
    /// The frames are always these.
    #[must_use]
    pub fn new(canary: &Arc<()>) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-trailer", HeaderValue::from_static("last"));
        Self {
            frames: [
                Ok(Bytes::from_static(b"first")),
                Ok(Bytes::from_static(b"second")),
                Err(trailers),
            ]
            .into(),
            says_when_it_ended: false,
            canary: Arc::clone(canary),
        }
    }

    /// Knows before it is asked again that nothing more comes.
    #[must_use]
    pub fn that_says_when_it_ended(mut self) -> Self {
        self.says_when_it_ended = true;
        self
    }

    /// Without a frame, and says so.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.frames.clear();
        self.that_says_when_it_ended()
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self::new(&Arc::new(()))
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let _ = &self.canary;
        Poll::Ready(self.frames.pop_front().map(|frame| {
            Ok(match frame {
                Ok(data) => Frame::data(data),
                Err(trailers) => Frame::trailers(trailers),
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.says_when_it_ended && self.frames.is_empty()
    }
}

/// The error of the inner service: a layer must pass it on as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Broken(pub u32);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken ({})", self.0)
    }
}

impl std::error::Error for Broken {}

/// An inner service that answers in a stream and keeps account.
///
/// It holds every caller to the contract of `Service`: the instance that is called must be the one
/// that was ready.
#[derive(Debug, Default)]
pub struct Probe {
    account: Arc<Account>,
    is_ready: bool,
}

/// What a [`Probe`] and its clones have seen.
#[derive(Debug, Default)]
pub struct Account {
    /// How often the service was called.
    pub calls: AtomicUsize,
    /// How often an instance was called that was not ready.
    pub calls_unready: AtomicUsize,
    /// While set, the service is not ready.
    pub is_busy: AtomicBool,
    /// While set, `poll_ready` fails with `Broken(1)`.
    pub fails_to_be_ready: AtomicBool,
    /// While set, calls fail with `Broken(2)`.
    pub fails: AtomicBool,
}

impl Account {
    /// How often the service was called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl Probe {
    /// What this service and its clones have seen.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }
}

/// As with any service, a clone of a ready one need not be ready.
impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            account: Arc::clone(&self.account),
            is_ready: false,
        }
    }
}

impl Service<Request<Chunks>> for Probe {
    type Response = Response<Chunks>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Chunks>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.account.fails_to_be_ready.load(SeqCst) {
            return Poll::Ready(Err(Broken(1)));
        }
        if self.account.is_busy.load(SeqCst) {
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Chunks>) -> Self::Future {
        self.account.calls.fetch_add(1, SeqCst);
        if !std::mem::take(&mut self.is_ready) {
            self.account.calls_unready.fetch_add(1, SeqCst);
        }
        let fails = self.account.fails.load(SeqCst);
        Box::pin(async move {
            // One turn of the executor, so that a caller can lose interest in between.
            let mut has_yielded = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut has_yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            if fails {
                return Err(Broken(2));
            }
            let mut response = Response::new(request.into_body());
            let inner = HeaderValue::from_static("inner");
            response.headers_mut().insert("x-answered-by", inner);
            Ok(response)
        })
    }
}

/// The README at the root, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The threats and what is done about them, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/security.md")]
struct Security;

/// The guide to limits that replicas share, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/distributed.md")]
struct Distributed;

/// The guide to choosing limits, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rate-limiting.md")]
struct RateLimiting;

/// The guide for those who come from elsewhere, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migration.md")]
struct Migration;

/// The guide to validation, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/validation.md")]
struct Validation;
