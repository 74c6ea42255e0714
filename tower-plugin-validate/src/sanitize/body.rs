use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    connect,
    context::RequestContext,
    grpc,
    tail::{CONNECT_END, End, Fed, GRPC_WEB_TRAILERS, Tail},
};

pin_project! {
    /// The inner service's body, without the words of internal errors.
    ///
    /// It streams: what is not the end of a call passes as it comes.
    #[derive(Debug)]
    pub struct SanitizedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Pass { #[pin] body: B },
        Grpc { #[pin] body: B, context: RequestContext },
        Stream { #[pin] body: B, stream: Stream },
        // Read from its start, and found to be public. `None`: to its end.
        Replay { start: Bytes, rest: Option<Pin<Box<B>>> },
        Replaced { data: Bytes },
    }
}

impl<B> SanitizedBody<B> {
    pub(super) const fn pass(body: B) -> Self {
        Self {
            kind: Kind::Pass { body },
        }
    }

    pub(super) const fn grpc(body: B, context: RequestContext) -> Self {
        Self {
            kind: Kind::Grpc { body, context },
        }
    }

    pub(super) fn grpc_web(body: B, context: RequestContext) -> Self {
        Self::stream(body, GRPC_WEB_TRAILERS, grpc::sanitize_web, context)
    }

    pub(super) fn connect_stream(body: B, context: RequestContext) -> Self {
        Self::stream(body, CONNECT_END, connect::sanitize_end, context)
    }

    fn stream(body: B, end_flag: u8, sanitize: Sanitize, context: RequestContext) -> Self {
        let stream = Stream {
            tail: Tail::new(end_flag),
            waiting: Fed::default(),
            sanitize,
            context,
        };
        Self {
            kind: Kind::Stream { body, stream },
        }
    }

    pub(super) const fn replay(start: Bytes, rest: Option<Pin<Box<B>>>) -> Self {
        Self {
            kind: Kind::Replay { start, rest },
        }
    }

    pub(super) const fn replaced(data: Bytes) -> Self {
        Self {
            kind: Kind::Replaced { data },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for SanitizedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Pass { body } => body.poll_frame(cx),
            KindProj::Grpc { body, context } => {
                let mut frame = ready!(body.poll_frame(cx));
                if let Some(Ok(frame)) = &mut frame
                    && let Some(trailers) = frame.trailers_mut()
                {
                    context.settings.scrub(trailers);
                    grpc::sanitize(trailers, context);
                }
                Poll::Ready(frame)
            }
            KindProj::Stream { mut body, stream } => loop {
                if let Some(data) = stream.next() {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                match ready!(body.as_mut().poll_frame(cx)).map(|frame| frame.map(Frame::into_data))
                {
                    Some(Ok(Ok(data))) => stream.waiting = stream.tail.feed(data),
                    Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            },
            KindProj::Replay { start, rest } => match (start.is_empty(), rest) {
                (false, _) => Poll::Ready(Some(Ok(Frame::data(mem::take(start))))),
                (true, Some(rest)) => rest.as_mut().poll_frame(cx),
                (true, None) => Poll::Ready(None),
            },
            KindProj::Replaced { data } => Poll::Ready(match data.is_empty() {
                true => None,
                false => Some(Ok(Frame::data(mem::take(data)))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass { body } | Kind::Grpc { body, .. } => body.is_end_stream(),
            Kind::Stream { body, stream } => stream.is_empty() && body.is_end_stream(),
            Kind::Replay { start, rest } => {
                start.is_empty() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
            Kind::Replaced { data } => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass { body } | Kind::Grpc { body, .. } => body.size_hint(),
            // What ends it may grow or shrink.
            Kind::Stream { .. } => SizeHint::default(),
            Kind::Replay { start, rest } => {
                let hint = rest
                    .as_ref()
                    .map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
                let start = start.len() as u64;
                let mut all = SizeHint::new();
                all.set_lower(hint.lower().saturating_add(start));
                if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(start)) {
                    all.set_upper(upper);
                }
                all
            }
            Kind::Replaced { data } => SizeHint::with_exact(data.len() as u64),
        }
    }
}

/// A stream that tells in its last message how the call ended.
#[derive(Debug)]
struct Stream {
    tail: Tail,
    /// What was read and is not sent.
    waiting: Fed,
    sanitize: Sanitize,
    context: RequestContext,
}

type Sanitize = fn(&End, &RequestContext) -> Bytes;

impl Stream {
    fn next(&mut self) -> Option<Bytes> {
        for data in &mut self.waiting.pass {
            if !data.is_empty() {
                return Some(mem::take(data));
            }
        }
        let end = self.waiting.end.take()?;
        Some((self.sanitize)(&end, &self.context)).filter(|data| !data.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.waiting.end.is_none() && self.waiting.pass.iter().all(Bytes::is_empty)
    }
}
