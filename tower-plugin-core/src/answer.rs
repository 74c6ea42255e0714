use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// A value that may be there already.
///
/// What is in memory is answered without a future to box, store or poll; what is not comes later. Match
/// on it to keep the synchronous path synchronous, or just await it.
///
/// ```
/// use std::future::Ready;
/// use tower_plugin_core::Answer;
///
/// async fn seven() -> u32 {
///     let answer: Answer<u32, Ready<u32>> = Answer::Ready(7);
///     answer.await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "a value is there or it is not; both must be handled"
)]
pub enum Answer<T, F> {
    /// Here it is.
    Ready(T),
    /// It takes asking.
    Pending(F),
}

impl<T, F: Future<Output = T>> IntoFuture for Answer<T, F> {
    type Output = T;
    type IntoFuture = AnswerFuture<T, F>;

    fn into_future(self) -> Self::IntoFuture {
        AnswerFuture {
            state: match self {
                Self::Ready(value) => State::Ready { value: Some(value) },
                Self::Pending(future) => State::Pending { future },
            },
        }
    }
}

pin_project! {
    /// An [`Answer`] being awaited.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AnswerFuture<T, F> {
        #[pin]
        state: State<T, F>,
    }
}

impl<T, F: Future<Output = T>> Future for AnswerFuture<T, F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.project().state.project() {
            // A future polled after it has finished may do anything but panic here.
            StateProj::Ready { value } => value.take().map_or(Poll::Pending, Poll::Ready),
            StateProj::Pending { future } => future.poll(cx),
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<T, F> {
        Ready { value: Option<T> },
        Pending { #[pin] future: F },
    }
}
