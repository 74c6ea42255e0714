use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tower_plugin_core::ResponseBody;

use super::{guard::Verdict, refused::rejection};
use crate::caller::Caller;

pin_project! {
    /// The future of [`BodyGuard`](super::BodyGuard).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) const fn forwarded(future: F, caller: Caller, verdict: Option<Verdict>) -> Self {
        Self {
            state: State::Forwarded {
                future,
                caller,
                verdict,
            },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<B>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Forwarded {
                future,
                caller,
                verdict,
            } => {
                let answer = ready!(future.poll(cx));
                let Some(&limit) = verdict.as_ref().and_then(|verdict| verdict.get()) else {
                    return Poll::Ready(answer.map(|response| response.map(ResponseBody::inner)));
                };
                // Whatever the service made of a body that broke off, this is what happened.
                let rejection = rejection(limit);
                tracing::debug!(reason = rejection.reason(), "request refused");
                Poll::Ready(Ok(rejection.into_response(&caller.headers())))
            }
            // Polled again after it was ready, which a future may answer as it likes.
            StateProj::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
        }
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F, B> {
        Forwarded { #[pin] future: F, caller: Caller, verdict: Option<Verdict> },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}
