use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::EXPIRES_IN;

pin_project! {
    /// The response of [`RefreshHint`](super::RefreshHint): the inner service's, maybe with a header more.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        hint: Option<u64>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, hint: Option<u64>) -> Self {
        Self { inner, hint }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(seconds) = *this.hint {
            response
                .headers_mut()
                .insert(EXPIRES_IN, HeaderValue::from(seconds));
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
