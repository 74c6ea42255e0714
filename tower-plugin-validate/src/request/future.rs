use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tower_plugin_core::ResponseBody;

use super::Observed;

pin_project! {
    /// The future of [`Validate`](crate::Validate).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) const fn forwarded(future: F, observed: Option<Observed>) -> Self {
        Self {
            state: State::Forwarded { future, observed },
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
            StateProj::Forwarded { future, observed } => {
                let response = ready!(future.poll(cx))?;
                let mut response = response.map(ResponseBody::inner);
                if let Some(observed) = observed.take() {
                    response.extensions_mut().insert(observed);
                }
                Poll::Ready(Ok(response))
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
        Forwarded { #[pin] future: F, observed: Option<Observed> },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}
