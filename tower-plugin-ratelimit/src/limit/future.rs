use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{
    settings::Settings,
    ticket::{Ask, Next, Ticket},
    waiting::Waiting,
};
use crate::Limiter;

pin_project! {
    /// The response of [`RateLimit`](super::RateLimit).
    ///
    /// Dropped before its turn, a request that waits gives back what it was to pay; dropped later it
    /// leaves nothing behind but what was debited.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, L, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
        L: Limiter,
    {
        #[pin]
        state: State<S, S::Future, L, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, L, ReqBody, ResBody>
    where
        L: Limiter,
    {
        Asking {
            asking: Option<Box<Asking<S, L, ReqBody>>>,
        },
        Waiting {
            waiting: Option<Box<Waiting<S, L, ReqBody>>>,
        },
        // With a ticket, something is to be done with the response.
        Calling {
            #[pin]
            future: F,
            ticket: Option<Box<Ticket<L>>>,
        },
        Settling {
            settling: Pin<Box<L::Future>>,
            response: Option<Response<ResponseBody<ResBody>>>,
        },
        Refused {
            response: Option<Response<ResponseBody<ResBody>>>,
        },
    }
}

/// A request that waits for the limiter's answer, and the service that was ready for it.
struct Asking<S, L: Limiter, ReqBody> {
    ask: Box<Ask<L>>,
    service: S,
    request: Request<ReqBody>,
}

impl<S, L, ReqBody, ResBody> ResponseFuture<S, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    L: Limiter,
{
    #[inline]
    pub(super) const fn calling(future: S::Future, ticket: Option<Box<Ticket<L>>>) -> Self {
        Self {
            state: State::Calling { future, ticket },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<ResBody>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(super) fn held(
        next: Next<L>,
        service: S,
        request: Request<ReqBody>,
        settings: &Settings,
    ) -> Self {
        Self {
            state: State::of(next, service, request, settings),
        }
    }
}

impl<S, L, ReqBody, ResBody> State<S, S::Future, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    L: Limiter,
{
    fn of(next: Next<L>, mut service: S, request: Request<ReqBody>, settings: &Settings) -> Self {
        match next {
            Next::Ask(ask) => Self::Asking {
                asking: Some(Box::new(Asking {
                    ask,
                    service,
                    request,
                })),
            },
            Next::Call => Self::Calling {
                future: service.call(request),
                ticket: None,
            },
            Next::Follow(ticket) => Self::Calling {
                future: service.call(request),
                ticket: Some(ticket),
            },
            Next::Refuse(rejection) => Self::Refused {
                response: Some(settings.respond(rejection, request.headers())),
            },
            Next::Wait(ticket) => Self::Waiting {
                waiting: Some(Box::new(Waiting::new(ticket, service, request))),
            },
        }
    }
}

impl<S, L, ReqBody, ResBody> Future for ResponseFuture<S, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    L: Limiter,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // The one place that polls the inner future: its code is here, and that of all layers further in.
            if let StateProj::Calling { future, ticket } = state.as_mut().project() {
                let response = match future.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(response)) => response,
                };
                // Nearly always: what the inner service answers is the answer.
                let Some(ticket) = ticket.take() else {
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                };
                match ticket.settle(response.map(ResponseBody::inner)) {
                    (response, None) => return Poll::Ready(Ok(response)),
                    (response, Some(settling)) => state.set(State::Settling {
                        settling,
                        response: Some(response),
                    }),
                }
            }
            if let Some(response) = ready!(state.as_mut().poll_held(cx)) {
                return Poll::Ready(Ok(response));
            }
        }
    }
}

impl<S, L, ReqBody, ResBody> State<S, S::Future, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    L: Limiter,
{
    /// A response that is not the inner service's or was held back, or `None` if that is to be polled.
    ///
    /// Out of the way of those who have nothing to wait for but the inner service.
    #[inline(never)]
    fn poll_held(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<ResponseBody<ResBody>>>> {
        let mut state = self.as_mut();
        loop {
            // Polled again after it was done, a future stays silent rather than panic.
            let next = match state.as_mut().project() {
                StateProj::Calling { .. } => return Poll::Ready(None),
                StateProj::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Some(response)));
                }
                StateProj::Asking { asking } => {
                    let answer = match asking.as_mut() {
                        Some(asking) => ready!(asking.ask.decision.as_mut().poll(cx)),
                        None => return Poll::Pending,
                    };
                    let Some(asking) = asking.take() else {
                        return Poll::Pending;
                    };
                    let Asking {
                        ask,
                        service,
                        request,
                    } = *asking;
                    let settings = ask.account.share_settings();
                    Self::of(ask.account.judge(answer), service, request, &settings)
                }
                StateProj::Waiting { waiting } => {
                    match waiting.as_mut() {
                        Some(waiting) => ready!(waiting.poll_turn(cx)),
                        None => return Poll::Pending,
                    }
                    let Some(waiting) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let (future, ticket) = (*waiting).call();
                    Self::Calling { future, ticket }
                }
                StateProj::Settling { settling, response } => {
                    // Settled or not, the request was served.
                    let _ = ready!(settling.as_mut().poll(cx));
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Some(response)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, L, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    L: Limiter,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
