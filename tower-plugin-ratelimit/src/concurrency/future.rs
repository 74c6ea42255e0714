use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{Permit, PermitBody, limiter::Ticket, settings::Settings};

pin_project! {
    /// The response of [`ConcurrencyLimit`](super::ConcurrencyLimit).
    ///
    /// Dropped before it is done, it gives back its permit or its place in the line.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        #[pin]
        state: State<S, S::Future, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody, ResBody> {
        Calling {
            #[pin]
            future: F,
            permit: Option<Permit>,
        },
        Refused {
            response: Option<Response<ResponseBody<PermitBody<ResBody>>>>,
        },
        Waiting {
            waiting: Option<Box<Waiting<S, ReqBody>>>,
        },
    }
}

/// A ready service and its request, in line. Boxed, so that a future that does not wait stays small.
struct Waiting<S, ReqBody> {
    ticket: Ticket,
    timer: Timer,
    service: S,
    request: Request<ReqBody>,
    settings: Arc<Settings>,
}

impl<S, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) const fn calling(future: S::Future, permit: Option<Permit>) -> Self {
        Self {
            state: State::Calling { future, permit },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<PermitBody<ResBody>>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(super) fn waiting(
        ticket: Ticket,
        max_wait: Duration,
        service: S,
        request: Request<ReqBody>,
        settings: &Arc<Settings>,
    ) -> Self {
        let waiting = Waiting {
            ticket,
            timer: timer(max_wait),
            service,
            request,
            settings: Arc::clone(settings),
        };
        Self {
            state: State::Waiting {
                waiting: Some(Box::new(waiting)),
            },
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Output = Result<Response<ResponseBody<PermitBody<ResBody>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Calling { future, permit } => {
                    let answer = ready!(future.poll(cx));
                    // In an error's case it goes back here, and not when the caller drops the future.
                    let permit = permit.take();
                    return Poll::Ready(answer.map(|response| {
                        response.map(|body| ResponseBody::inner(PermitBody::new(body, permit)))
                    }));
                }
                StateProj::Refused { response } => {
                    // Polled again after it was done, it stays silent rather than panic.
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
                StateProj::Waiting { waiting } => {
                    let Some(in_line) = waiting else {
                        return Poll::Pending;
                    };
                    let permit = match in_line.ticket.poll_permit(cx) {
                        Poll::Ready(permit) => Some(permit),
                        Poll::Pending => {
                            ready!(poll_timer(&mut in_line.timer, cx));
                            None
                        }
                    };
                    let Some(mut in_line) = waiting.take() else {
                        return Poll::Pending;
                    };
                    if permit.is_some() {
                        let future = in_line.service.call(in_line.request);
                        State::Calling { future, permit }
                    } else {
                        let rejection = in_line.settings.refusal();
                        let response = rejection.into_response(in_line.request.headers());
                        State::Refused {
                            response: Some(response),
                        }
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// `None` where there is no runtime to tell the time: then the wait is over before it begins.
#[cfg(feature = "wait")]
type Timer = Option<Pin<Box<tokio::time::Sleep>>>;

#[cfg(feature = "wait")]
fn timer(max_wait: Duration) -> Timer {
    let runtime = tokio::runtime::Handle::try_current();
    runtime.ok().map(|_| Box::pin(tokio::time::sleep(max_wait)))
}

#[cfg(feature = "wait")]
fn poll_timer(timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
    timer
        .as_mut()
        .map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx))
}

/// Without the feature nobody is ever put in line.
#[cfg(not(feature = "wait"))]
type Timer = ();

#[cfg(not(feature = "wait"))]
const fn timer(_: Duration) -> Timer {}

#[cfg(not(feature = "wait"))]
const fn poll_timer(_: &mut Timer, _: &mut Context<'_>) -> Poll<()> {
    Poll::Ready(())
}
