use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    connect,
    context::Reference,
    grpc,
    layer::Settings,
    tail::{End, Fed, Tail},
};
use crate::body::envelope::{CONNECT_END, GRPC_WEB_TRAILERS};

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
        Grpc { #[pin] body: B, reference: Reference },
        Stream { #[pin] body: B, stream: Stream },
        // Read from its start, and found to be public. No rest: to its end.
        Replay {
            start: Bytes,
            trailers: Option<Box<HeaderMap>>,
            rest: Option<Pin<Box<B>>>,
            settings: Arc<Settings>,
        },
        Replaced { data: Bytes },
    }
}

impl<B> SanitizedBody<B> {
    pub(super) const fn pass(body: B) -> Self {
        Self {
            kind: Kind::Pass { body },
        }
    }

    pub(super) const fn grpc(body: B, reference: Reference) -> Self {
        Self {
            kind: Kind::Grpc { body, reference },
        }
    }

    pub(super) fn grpc_web(body: B, reference: Reference) -> Self {
        Self::stream(body, GRPC_WEB_TRAILERS, grpc::sanitize_web, reference)
    }

    pub(super) fn connect_stream(body: B, reference: Reference) -> Self {
        Self::stream(body, CONNECT_END, connect::sanitize_end, reference)
    }

    fn stream(body: B, end_flag: u8, sanitize: Sanitize, reference: Reference) -> Self {
        let stream = Stream {
            tail: Tail::new(end_flag),
            waiting: Fed::default(),
            sanitize,
            reference,
        };
        Self {
            kind: Kind::Stream { body, stream },
        }
    }

    /// `trailers` and `rest` exclude each other.
    pub(super) const fn replay(
        start: Bytes,
        trailers: Option<Box<HeaderMap>>,
        rest: Option<Pin<Box<B>>>,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            kind: Kind::Replay {
                start,
                trailers,
                rest,
                settings,
            },
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
            KindProj::Grpc { body, reference } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map(|frame| without_words(frame, reference))))
            }
            KindProj::Stream { mut body, stream } => loop {
                if let Some(data) = stream.next() {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                match ready!(body.as_mut().poll_frame(cx)).map(|frame| frame.map(Frame::into_data))
                {
                    Some(Ok(Ok(data))) => stream.waiting = stream.tail.feed(data),
                    // Not where these protocols tell how a call ended, but a client may look there.
                    Some(Ok(Err(frame))) => {
                        return Poll::Ready(Some(Ok(without_words(frame, &stream.reference))));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            },
            KindProj::Replay {
                start,
                trailers,
                rest,
                settings,
            } => {
                let frame = match (start.is_empty(), rest) {
                    (false, _) => Some(Ok(Frame::data(mem::take(start)))),
                    (true, Some(rest)) => ready!(rest.as_mut().poll_frame(cx)),
                    (true, None) => trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(*trailers))),
                };
                Poll::Ready(frame.map(|frame| frame.map(|frame| scrubbed(frame, settings))))
            }
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
            Kind::Replay {
                start,
                trailers,
                rest,
                ..
            } => {
                start.is_empty()
                    && trailers.is_none()
                    && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
            Kind::Replaced { data } => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass { body } | Kind::Grpc { body, .. } => body.size_hint(),
            // What ends it may grow or shrink.
            Kind::Stream { .. } => SizeHint::default(),
            Kind::Replay { start, rest, .. } => {
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

/// A frame, if it is of trailers without those that tell what the response was made with.
fn scrubbed(mut frame: Frame<Bytes>, settings: &Settings) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        settings.scrub(trailers);
    }
    frame
}

/// A frame, if it is of trailers without the words of an internal error either.
fn without_words(frame: Frame<Bytes>, reference: &Reference) -> Frame<Bytes> {
    let mut frame = scrubbed(frame, &reference.settings);
    if let Some(trailers) = frame.trailers_mut() {
        grpc::sanitize(trailers, reference);
    }
    frame
}

/// A stream that tells in its last message how the call ended.
#[derive(Debug)]
struct Stream {
    tail: Tail,
    /// What was read and is not sent.
    waiting: Fed,
    sanitize: Sanitize,
    reference: Reference,
}

type Sanitize = fn(&End, &Reference) -> Bytes;

impl Stream {
    fn next(&mut self) -> Option<Bytes> {
        for data in &mut self.waiting.pass {
            if !data.is_empty() {
                return Some(mem::take(data));
            }
        }
        let end = self.waiting.end.take()?;
        Some((self.sanitize)(&end, &self.reference)).filter(|data| !data.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.waiting.end.is_none() && self.waiting.pass.iter().all(Bytes::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http_body_util::{BodyExt, Full};

    use super::*;

    fn replay(trailers: &[&'static str], rest: Option<&'static str>) -> SanitizedBody<Full<Bytes>> {
        let trailers: HeaderMap = trailers
            .iter()
            .map(|name| (http::HeaderName::from_static(name), "1".parse().unwrap()))
            .collect();
        let trailers = (!trailers.is_empty()).then(|| Box::new(trailers));
        let rest = rest.map(|rest| Box::pin(Full::from(rest)));
        SanitizedBody::replay(Bytes::from("start"), trailers, rest, Arc::default())
    }

    #[tokio::test]
    async fn what_is_replayed_ends_after_its_trailers() {
        let mut body = pin!(replay(&["server", "x-kept"], None));
        assert_eq!(body.size_hint().exact(), Some(5));
        let data = body.frame().await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap(), "start");
        assert!(
            !body.is_end_stream(),
            "a server that asks would leave out the trailers"
        );
        let trailers = body.frame().await.unwrap().unwrap();
        let trailers = trailers.into_trailers().unwrap();
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-kept"]);
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_is_replayed_goes_on_with_what_was_not_read() {
        let mut body = pin!(replay(&[], Some(" and rest")));
        assert_eq!(body.size_hint().exact(), Some(14));
        let collected = body.as_mut().collect().await.unwrap();
        assert_eq!(collected.to_bytes(), "start and rest");
    }
}
