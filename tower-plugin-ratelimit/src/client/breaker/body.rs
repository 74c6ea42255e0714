use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    super::{ByStatus, Head, Outcome},
    call::Call,
};

pin_project! {
    /// The body of a response that passed a [`CircuitBreaker`](super::CircuitBreaker).
    ///
    /// Where the head of a gRPC response said nothing, the first frame does: a message is an answer,
    /// and trailers state the code.
    pub struct CircuitBody<B, C = ByStatus> {
        #[pin]
        inner: B,
        call: Option<Call<C>>,
        by_trailers: fn(&C, Head<'_>) -> Outcome,
    }
}

impl<B, C> CircuitBody<B, C> {
    pub(super) const fn new(
        inner: B,
        call: Option<Call<C>>,
        by_trailers: fn(&C, Head<'_>) -> Outcome,
    ) -> Self {
        Self {
            inner,
            call,
            by_trailers,
        }
    }
}

impl<B: Body, C> Body for CircuitBody<B, C> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let Some(mut running) = this.call.take() else {
            return this.inner.poll_frame(cx);
        };
        let Poll::Ready(frame) = running.run(|| this.inner.poll_frame(cx)) else {
            *this.call = Some(running);
            return Poll::Pending;
        };
        let outcome = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) if trailers.contains_key("grpc-status") => {
                    (this.by_trailers)(running.classify(), Head::new(StatusCode::OK, trailers))
                }
                Some(_) => Outcome::Failure,
                None => Outcome::Success,
            },
            // Broken off, or ended without the trailers that gRPC demands.
            Some(Err(_)) | None => Outcome::Failure,
        };
        running.end(outcome);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, C> fmt::Debug for CircuitBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
