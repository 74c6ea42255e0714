//! A service that watches how it is called, and bodies that stream.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, request::Parts};
use http_body::{Body, Frame};
use tower::Service;

/// Two chunks and a trailer, one frame at a time, counted while it is somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    frames: VecDeque<Result<Bytes, HeaderMap>>,
    says_when_it_ended: bool,
    _canary: Arc<()>,
}

impl Chunks {
    pub(crate) fn new(canary: &Arc<()>) -> Self {
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
            _canary: Arc::clone(canary),
        }
    }

    pub(crate) fn that_says_when_it_ended(mut self) -> Self {
        self.says_when_it_ended = true;
        self
    }

    pub(crate) fn empty(mut self) -> Self {
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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Broken(pub(crate) u32);

/// Answers with the body it was sent, and holds its callers to the contract of `Service`.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    account: Arc<Account>,
    is_ready: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) calls: AtomicUsize,
    pub(crate) calls_unready: AtomicUsize,
    pub(crate) is_busy: AtomicBool,
    pub(crate) fails_to_be_ready: AtomicBool,
    pub(crate) fails: AtomicBool,
}

impl Account {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl Probe {
    pub(crate) fn account(&self) -> Arc<Account> {
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
            poll_fn(|cx| {
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
            Ok(Response::new(request.into_body()))
        })
    }
}

/// What a request is for; without the header it has no key.
pub(crate) fn by_tenant(parts: &Parts) -> Option<String> {
    let tenant = parts.headers.get("x-tenant")?;
    Some(tenant.to_str().ok()?.to_owned())
}

pub(crate) fn of(tenant: &'static str) -> Request<Chunks> {
    let mut request = Request::new(Chunks::default());
    let tenant = HeaderValue::from_static(tenant);
    request.headers_mut().insert("x-tenant", tenant);
    request
}
