use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tower_plugin_core::{Protocol, ResponseBody};

use super::{
    super::{Classify, Head},
    CircuitBody,
    call::Call,
};

pin_project! {
    /// The response of [`CircuitBreaker`](super::CircuitBreaker).
    ///
    /// Dropped before it is done, it says nothing about the service; if it panics, that is a failure.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B, C> {
        #[pin]
        state: State<F, B, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B, C> {
        Calling {
            #[pin]
            future: F,
            call: Option<Call<C>>,
        },
        Refused {
            response: Option<Response<ResponseBody<CircuitBody<B, C>>>>,
        },
    }
}

impl<F, B, C> ResponseFuture<F, B, C> {
    pub(super) const fn calling(future: F, call: Call<C>) -> Self {
        let call = Some(call);
        Self {
            state: State::Calling { future, call },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<CircuitBody<B, C>>>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }
}

impl<F, B, C, E> Future for ResponseFuture<F, B, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    C: Classify<E>,
{
    type Output = Result<Response<ResponseBody<CircuitBody<B, C>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Calling { future, call } => {
                let Some(mut running) = call.take() else {
                    // Polled after the end.
                    return Poll::Pending;
                };
                let Poll::Ready(result) = running.run(|| future.poll(cx)) else {
                    *call = Some(running);
                    return Poll::Pending;
                };
                Poll::Ready(judged(result, running))
            }
            // A future polled after it has finished may do anything but panic here.
            StateProj::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
        }
    }
}

/// Judges by the head, or leaves it to the body where the head says nothing: gRPC states its code in
/// trailers if it is not sure from the beginning.
fn judged<B, C: Classify<E>, E>(
    result: Result<Response<B>, E>,
    call: Call<C>,
) -> Result<Response<ResponseBody<CircuitBody<B, C>>>, E> {
    let call = match result.as_ref().map(Head::of) {
        Ok(head)
            if head.status().is_success()
                && Protocol::of(head.headers()) == Protocol::Grpc
                && !head.headers().contains_key("grpc-status") =>
        {
            Some(call)
        }
        head => {
            let outcome = call.classify().classify(head);
            call.end(outcome);
            None
        }
    };
    let by_trailers = |classify: &C, trailers: Head<'_>| classify.classify(Ok::<_, &E>(trailers));
    result.map(|response| {
        response.map(|body| ResponseBody::inner(CircuitBody::new(body, call, by_trailers)))
    })
}

impl<F, B, C> fmt::Debug for ResponseFuture<F, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
