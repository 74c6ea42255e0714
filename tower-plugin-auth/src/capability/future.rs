use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::gate::{Gate, Refused};
use crate::{
    Answer,
    broker::{Checked, Grant, Refusal},
    grant::PresentedGrant,
    store::GrantStore,
};

pin_project! {
    /// The response of [`CapabilityGuard`](super::CapabilityGuard): a refusal, or what the capability answers.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, G, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
        G: GrantStore,
    {
        #[pin]
        state: State<S::Future, G::Lookup, G::Using, Held<S, G, ReqBody>, ResBody>,
    }
}

impl<S, G, ReqBody, ResBody> ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: GrantStore,
{
    pub(super) fn looking_up(
        lookup: G::Lookup,
        presented: PresentedGrant,
        held: Held<S, G, ReqBody>,
    ) -> Self {
        Self {
            state: State::LookingUp {
                lookup,
                presented,
                held: Some(held),
            },
        }
    }

    pub(super) fn counting(
        counting: G::Using,
        checked: Checked,
        held: Held<S, G, ReqBody>,
    ) -> Self {
        Self {
            state: State::Counting {
                counting,
                waiting: Some((checked, held)),
            },
        }
    }

    pub(super) fn calling(future: S::Future) -> Self {
        Self {
            state: State::Calling { future },
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

impl<S, G, ReqBody, ResBody> Future for ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    G: GrantStore,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::LookingUp {
                    lookup,
                    presented,
                    held,
                } => {
                    let found = ready!(lookup.poll(cx));
                    let Some(held) = held.take() else {
                        return Poll::Pending;
                    };
                    match held
                        .gate
                        .judge(presented, found, &RequestHead::from(&held.request))
                    {
                        Ok(checked) => match checked.count(&held.gate.broker) {
                            Answer::Ready(grant) => held.go_on(grant),
                            Answer::Pending((counting, checked)) => State::Counting {
                                counting,
                                waiting: Some((checked, held)),
                            },
                        },
                        Err(refused) => held.refuse(refused),
                    }
                }
                StateProj::Counting { counting, waiting } => {
                    let counted = ready!(counting.poll(cx));
                    let Some((checked, held)) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let grant = held.gate.broker.counted(checked, counted);
                    held.go_on(grant)
                }
                StateProj::Calling { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(ResponseBody::inner));
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

impl<S, G, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: GrantStore,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, L, U, H, B> {
        LookingUp { #[pin] lookup: L, presented: PresentedGrant, held: Option<H> },
        Counting { #[pin] counting: U, waiting: Option<(Checked, H)> },
        Calling { #[pin] future: F },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}

/// A request on hold, and the service that was ready for it.
pub(super) struct Held<S, G, B> {
    ready: S,
    request: Request<B>,
    gate: Gate<G>,
}

impl<S, G, B> Held<S, G, B> {
    pub(super) fn new(ready: S, request: Request<B>, gate: Gate<G>) -> Self {
        Self {
            ready,
            request,
            gate,
        }
    }
}

impl<S, G, B> Held<S, G, B>
where
    S: Service<Request<B>>,
    G: GrantStore,
{
    fn go_on<ResBody>(mut self, grant: Result<Grant, Refusal>) -> StateOf<S, G, B, ResBody> {
        let admitted = grant
            .map_err(Refused::from)
            .and_then(|grant| self.gate.admit(grant, &mut self.request));
        match admitted {
            Ok(()) => State::Calling {
                future: self.ready.call(self.request),
            },
            Err(refused) => self.refuse(refused),
        }
    }

    fn refuse<ResBody>(self, refused: Refused) -> StateOf<S, G, B, ResBody> {
        State::Refused {
            response: Some(self.gate.refuse(refused, &RequestHead::from(&self.request))),
        }
    }
}

type StateOf<S, G, B, ResBody> = State<
    <S as Service<Request<B>>>::Future,
    <G as GrantStore>::Lookup,
    <G as GrantStore>::Using,
    Held<S, G, B>,
    ResBody,
>;
