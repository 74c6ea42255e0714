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
    ticket::{Account, Next, Ticket},
    waiting::Waiting,
};
use crate::Limiter;

pin_project! {
    /// The response of [`RateLimit`](super::RateLimit).
    ///
    /// Dropped before its turn, a request that waits gives back what it was to pay; dropped later it
    /// leaves nothing behind but what was debited.
    pub struct ResponseFuture<S, L, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
        L: Limiter,
    {
        #[pin]
        state: State<S, S::Future, L, L::Future, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, L, D, ReqBody, ResBody>
    where
        L: Limiter,
    {
        Asking {
            #[pin]
            decision: D,
            held: Option<Box<Held<S, L, ReqBody>>>,
        },
        Waiting {
            waiting: Option<Box<Waiting<S, L, ReqBody>>>,
        },
        Calling {
            #[pin]
            future: F,
            ticket: Option<Box<Ticket<L>>>,
        },
        Settling {
            #[pin]
            settling: D,
            response: Option<Response<ResponseBody<ResBody>>>,
        },
        Refused {
            response: Option<Response<ResponseBody<ResBody>>>,
        },
    }
}

/// A request that waits for the limiter's answer, and the service that was ready for it. Boxed, so
/// that a future that has nothing to wait for stays small.
struct Held<S, L: Limiter, ReqBody> {
    service: S,
    request: Request<ReqBody>,
    account: Box<Account<L>>,
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

    pub(super) fn held(next: Next<L>, mut service: S, request: Request<ReqBody>) -> Self {
        let state = match next {
            Next::Ask(decision, account) => State::Asking {
                decision,
                held: Some(Box::new(Held {
                    service,
                    request,
                    account,
                })),
            },
            Next::Wait(ticket) => State::Waiting {
                waiting: Some(Box::new(Waiting::new(ticket, service, request))),
            },
            Next::Call(ticket) => State::Calling {
                future: service.call(request),
                ticket,
            },
            Next::Refuse(rejection) => State::Refused {
                response: Some(rejection.into_response(request.headers())),
            },
        };
        Self { state }
    }
}

impl<S, L, ReqBody, ResBody> Future for ResponseFuture<S, L, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    L: Limiter,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // Polled again after it was done, a future stays silent rather than panic.
            let next = match state.as_mut().project() {
                StateProj::Calling { future, ticket } => {
                    let response = ready!(future.poll(cx))?.map(ResponseBody::inner);
                    let Some(ticket) = ticket.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    match ticket.settle(response) {
                        (response, None) => return Poll::Ready(Ok(response)),
                        (response, Some(settling)) => State::Settling {
                            settling,
                            response: Some(response),
                        },
                    }
                }
                StateProj::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
                StateProj::Asking { decision, held } => {
                    let answer = ready!(decision.poll(cx));
                    let Some(held) = held.take() else {
                        return Poll::Pending;
                    };
                    (*held).go_on(answer)
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
                    State::Calling { future, ticket }
                }
                StateProj::Settling { settling, response } => {
                    // Settled or not, the request was served.
                    let _ = ready!(settling.poll(cx));
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, L, ReqBody> Held<S, L, ReqBody>
where
    L: Limiter,
{
    fn go_on<ResBody>(
        self,
        answer: Result<crate::Decision, crate::Unavailable>,
    ) -> State<S, S::Future, L, L::Future, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        let Self {
            mut service,
            request,
            account,
        } = self;
        let settings = account.share_settings();
        match account.judge(answer) {
            Next::Call(ticket) => State::Calling {
                future: service.call(request),
                ticket,
            },
            Next::Wait(ticket) => State::Waiting {
                waiting: Some(Box::new(Waiting::new(ticket, service, request))),
            },
            Next::Refuse(rejection) => State::Refused {
                response: Some(settings.respond(rejection, request.headers())),
            },
            Next::Ask(decision, account) => State::Asking {
                decision,
                held: Some(Box::new(Self {
                    service,
                    request,
                    account,
                })),
            },
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
