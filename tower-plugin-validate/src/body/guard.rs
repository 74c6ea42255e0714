use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BodyLimit, BodyLimits, BodyRefused,
    envelope::{CONNECT_END, Envelopes, GRPC_WEB_TRAILERS},
};
use crate::meter::{self, Layer};

/// The limit a body was over, for the layer to see when the service answers.
pub(super) type Verdict = Arc<OnceLock<BodyLimit>>;

pin_project! {
    /// A request's body, held to limits; over one of them it ends in a [`BodyRefused`].
    ///
    /// See the [module docs](super).
    #[derive(Debug)]
    pub struct GuardedBody<B> {
        #[pin]
        inner: B,
        // `None`: a body that has nothing to send needs no guard.
        watch: Option<Watch>,
    }
}

impl<B: Body> GuardedBody<B> {
    pub(super) fn new(inner: B, limits: BodyLimits, is_stream: bool) -> (Self, Option<Verdict>) {
        let watch = (!inner.is_end_stream()).then(|| Watch {
            limits,
            bytes: 0,
            messages: 0,
            envelopes: is_stream.then(Envelopes::default),
            verdict: Verdict::default(),
        });
        let verdict = watch.as_ref().map(|watch| Arc::clone(&watch.verdict));
        (Self { inner, watch }, verdict)
    }
}

impl<B> GuardedBody<B> {
    /// The body, without its guard.
    #[must_use]
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        if this.watch.as_ref().is_some_and(Watch::is_over) {
            return Poll::Ready(None);
        }
        let frame = match ready!(this.inner.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let Some(Err(limit)) = this.watch.as_mut().map(|watch| watch.frame(&frame)) else {
            return Poll::Ready(Some(Ok(frame)));
        };
        Poll::Ready(Some(Err(BodyRefused::new(limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_over) || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.watch.as_ref().is_some_and(Watch::is_over) {
            return SizeHint::with_exact(0);
        }
        self.inner.size_hint()
    }
}

#[derive(Debug)]
struct Watch {
    limits: BodyLimits,
    bytes: u64,
    messages: u64,
    envelopes: Option<Envelopes>,
    verdict: Verdict,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.verdict.get().is_some()
    }

    fn frame(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyLimit> {
        let checked = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => self.data(data),
            (None, Some(trailers)) => self.trailers(trailers),
            (None, None) => Ok(()),
        };
        checked.inspect_err(|&limit| {
            let _ = self.verdict.set(limit);
            // Here, because the answer to a stream may have begun long ago.
            meter::refused(Layer::Body, limit.reason());
        })
    }

    fn data(&mut self, data: &[u8]) -> Result<(), BodyLimit> {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        let Some(envelopes) = &mut self.envelopes else {
            return self.within(BodyLimit::BodyBytes, self.bytes);
        };
        let mut rest = data;
        while !rest.is_empty() {
            let (read, prefix) = envelopes.advance(rest);
            rest = rest.get(read..).unwrap_or_default();
            let Some(prefix) = prefix else { continue };
            // gRPC-Web's trailers and Connect's end of stream are lengths to watch, but no messages. A flag that
            // nobody knows is somebody's message.
            if prefix.flags() & (CONNECT_END | GRPC_WEB_TRAILERS) == 0 {
                self.messages = self.messages.saturating_add(1);
            }
            if self
                .limits
                .is_over(BodyLimit::MessageBytes, prefix.length().into())
            {
                return Err(BodyLimit::MessageBytes);
            }
            if self.limits.is_over(BodyLimit::Messages, self.messages) {
                return Err(BodyLimit::Messages);
            }
        }
        self.within(BodyLimit::StreamBytes, self.bytes)
    }

    fn trailers(&self, trailers: &HeaderMap) -> Result<(), BodyLimit> {
        self.within(BodyLimit::TrailerFields, trailers.len() as u64)?;
        // As header lists are measured (RFC 9113 section 6.5.2).
        let size = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + 32
        };
        let bytes: usize = trailers.iter().map(size).sum();
        self.within(BodyLimit::TrailerBytes, bytes as u64)
    }

    fn within(&self, limit: BodyLimit, value: u64) -> Result<(), BodyLimit> {
        match self.limits.is_over(limit, value) {
            true => Err(limit),
            false => Ok(()),
        }
    }
}
