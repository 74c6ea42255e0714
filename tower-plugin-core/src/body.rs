use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A response body: the inner service's, or the small one of a refusal.
    ///
    /// Nothing is asked of `B` beyond `Body<Data = Bytes>`, so a layer that can refuse works on
    /// every service. Frames, trailers and size hints of the inner body pass untouched.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Full { data: Bytes },
    }
}

impl<B> ResponseBody<B> {
    /// Wraps the body of the inner service.
    #[must_use]
    pub const fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    /// A body of one chunk, or of none when `data` is empty.
    #[must_use]
    pub const fn full(data: Bytes) -> Self {
        Self {
            kind: Kind::Full { data },
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(cx),
            KindProj::Full { data } if data.is_empty() => Poll::Ready(None),
            KindProj::Full { data } => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Full { data } => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Full { data } => SizeHint::with_exact(data.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[test]
    fn a_full_body_is_one_chunk_and_an_empty_one_is_none() {
        let full: ResponseBody<Full<Bytes>> = ResponseBody::full(Bytes::from_static(b"no"));
        assert_eq!(full.size_hint().exact(), Some(2));
        assert!(!full.is_end_stream());
        let collected = pollster(full.collect()).unwrap();
        assert_eq!(collected.to_bytes(), "no");

        let empty: ResponseBody<Full<Bytes>> = ResponseBody::full(Bytes::new());
        assert!(empty.is_end_stream());
        assert_eq!(pollster(empty.collect()).unwrap().to_bytes(), "");
    }

    #[test]
    fn trailers_of_the_inner_body_pass() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(Bytes::from_static(b"yes"))
            .with_trailers(std::future::ready(Some(Ok(trailers.clone()))));

        let collected = pollster(ResponseBody::inner(body).collect()).unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "yes");
    }

    /// Every body here is ready at once.
    fn pollster<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        match future
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
        {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("a body made of ready parts was pending"),
        }
    }
}
