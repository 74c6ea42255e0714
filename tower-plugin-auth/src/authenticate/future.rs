use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
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
                decision,
                held: Some(held),
            },
        }
    }

    pub(super) fn calling(future: S::Future, note: Option<Note>) -> Self {
        Self {
            state: State::Calling { future, note },
        }
    }

    pub(super) fn refused(response: Response<ResponseBody<ResBody>>) -> Self {
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Authenticating { decision, held } => {
                    let decision = ready!(decision.poll(cx));
                    let Some(mut held) = held.take() else {
                        return Poll::Pending;
                    };
                    match held.admit(decision) {
                        None => {
                            let note = Note::of(&held.parts.extensions);
                            let future = held.call();
                            State::Calling { future, note }
                        }
                        refusal => State::Refused { response: refusal },
                    }
                }
                StateProj::Calling { future, note } => {
                    let mut response = ready!(future.poll(cx))?;
                    if let Some(note) = note.take() {
                        note.leave(&mut response);
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProj::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response)),
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
        Authenticating { #[pin] decision: D, held: Option<H> },
        Calling { #[pin] future: F, note: Option<Note> },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}

/// A request on hold, and the service that was ready for it.
pub(super) struct Held<S, B> {
    ready: S,
    parts: Parts,
    body: B,
    gate: Gate,
}

impl<S, B> Held<S, B> {
    pub(super) fn new(ready: S, parts: Parts, body: B, gate: Gate) -> Self {
        Self {
            ready,
            parts,
            body,
            gate,
        }
    }

    fn admit<ResBody>(
        &mut self,
        decision: Result<Principal, AuthError>,
    ) -> Option<Response<ResponseBody<ResBody>>> {
        self.gate.admit(decision, &mut self.parts)
    }

    fn call(mut self) -> S::Future
    where
        S: Service<Request<B>>,
    {
        self.ready.call(Request::from_parts(self.parts, self.body))
    }
}
