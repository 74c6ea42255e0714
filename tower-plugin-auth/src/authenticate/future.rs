use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_plugin_core::{Principal, ResponseBody};
use tower_service::Service;

use super::{AuthError, gate::Gate};
use crate::audit::Note;

pin_project! {
    /// The response of [`Auth`](super::Auth): a refusal, or what the inner service answers.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, D, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S::Future, D, Held<S, ReqBody>, ResBody>,
    }
}

impl<S, D, ReqBody, ResBody> ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn authenticating(decision: D, held: Held<S, ReqBody>) -> Self {
        Self {
            state: State::Authenticating {
                asking: Box::pin(Asking {
                    decision,
                    held: Some(held),
                }),
            },
        }
    }

    #[inline]
    pub(super) const fn calling(future: S::Future, note: Option<Note>) -> Self {
        Self {
            state: State::Calling { future, note },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<ResBody>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

impl<S, D, ReqBody, ResBody> Future for ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    D: Future<Output = Result<Principal, AuthError>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // The one place that polls the inner future: its code is here, and that of all layers further in.
            if let StateProj::Calling { future, note } = state.as_mut().project() {
                let response = match future.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(response)) => response,
                };
                return Poll::Ready(Ok(match note.take() {
                    None => response.map(ResponseBody::inner),
                    Some(note) => note.left_in(response).map(ResponseBody::inner),
                }));
            }
            if let Some(response) = ready!(state.as_mut().poll_held(cx)) {
                return Poll::Ready(Ok(response));
            }
        }
    }
}

impl<S, D, ReqBody, ResBody> State<S::Future, D, Held<S, ReqBody>, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    D: Future<Output = Result<Principal, AuthError>>,
{
    /// A refusal, or `None` if the inner future is to be polled.
    ///
    /// Out of the way of those who have nothing to wait for but the inner service.
    #[inline(never)]
    fn poll_held(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<ResponseBody<ResBody>>>> {
        let mut state = self.as_mut();
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { .. } => return Poll::Ready(None),
                StateProj::Authenticating { asking } => {
                    let asking = asking.as_mut().project();
                    let decision = ready!(asking.decision.poll(cx));
                    let Some(mut held) = asking.held.take() else {
                        return Poll::Pending;
                    };
                    match held.admit(decision) {
                        None => {
                            let note = Note::of(held.request.extensions());
                            let future = held.call();
                            Self::Calling { future, note }
                        }
                        refusal => Self::Refused { response: refusal },
                    }
                }
                StateProj::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Some(response)),
                        // A future polled after it has finished may do anything but panic here.
                        None => Poll::Pending,
                    };
                }
            };
            state.set(next);
        }
    }
}

impl<S, D, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, D, H, B> {
        Authenticating { asking: Pin<Box<Asking<D, H>>> },
        Calling { #[pin] future: F, note: Option<Note> },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}

pin_project! {
    /// A decision that takes time, and the request it is about. Boxed, so that a request that is decided
    /// about at once moves little memory through all layers.
    struct Asking<D, H> { #[pin] decision: D, held: Option<H> }
}

/// A request on hold, and the service that was ready for it.
pub(super) struct Held<S, B> {
    ready: S,
    request: Request<B>,
    gate: Gate,
}

impl<S, B> Held<S, B> {
    pub(super) const fn new(ready: S, request: Request<B>, gate: Gate) -> Self {
        Self {
            ready,
            request,
            gate,
        }
    }

    fn admit<ResBody>(
        &mut self,
        decision: Result<Principal, AuthError>,
    ) -> Option<Response<ResponseBody<ResBody>>> {
        let admitted = self.gate.admit(decision, self.request.extensions_mut());
        let error = admitted.err()?;
        Some(self.gate.refuse(&error, self.request.headers()))
    }

    fn call(mut self) -> S::Future
    where
        S: Service<Request<B>>,
    {
        self.ready.call(self.request)
    }
}
