use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_service::Service;

use super::{
    super::Head,
    line::{Line, Place, Refusal, Turn},
};

pin_project! {
    /// The response of [`Throttle`](super::Throttle).
    ///
    /// Dropped while it waits, it leaves its place to those behind it.
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
        Waiting {
            pending: Option<Box<Pending<S, ReqBody>>>,
        },
        Calling {
            #[pin]
            future: F,
            line: Arc<Line>,
        },
        Refused {
            response: Option<Response<ResponseBody<ResBody>>>,
        },
    }
}

/// What waits for its turn: a ready service and its request. Boxed, so that a future that need not
/// wait stays small.
struct Pending<S, ReqBody> {
    place: Place,
    /// Made when it is first polled: `call` need not run on a runtime.
    sleep: Option<Pin<Box<Sleep>>>,
    service: S,
    request: Request<ReqBody>,
}

impl<S, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) const fn calling(future: S::Future, line: Arc<Line>) -> Self {
        Self {
            state: State::Calling { future, line },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<ResBody>>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
        }
    }

    pub(super) fn waiting(place: Place, service: S, request: Request<ReqBody>) -> Self {
        let pending = Pending {
            place,
            sleep: None,
            service,
            request,
        };
        Self {
            state: State::Waiting {
                pending: Some(Box::new(pending)),
            },
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Waiting { pending } => {
                    let Some(mut waiting) = pending.take() else {
                        return Poll::Pending;
                    };
                    let Poll::Ready(refusal) = waiting.poll(cx) else {
                        *pending = Some(waiting);
                        return Poll::Pending;
                    };
                    match refusal {
                        Some(refusal) => State::Refused {
                            response: Some(refusal.respond(&waiting.request)),
                        },
                        None => State::Calling {
                            line: Arc::clone(waiting.place.line()),
                            future: waiting.service.call(waiting.request),
                        },
                    }
                }
                StateProj::Calling { future, line } => {
                    let response = ready!(future.poll(cx));
                    return Poll::Ready(response.map(|response| {
                        line.observe(Head::of(&response));
                        response.map(ResponseBody::inner)
                    }));
                }
                StateProj::Refused { response } => {
                    // A future polled after it has finished may do anything but panic here.
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, ReqBody> Pending<S, ReqBody> {
    /// Waits for its turn, or for a refusal.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Refusal>> {
        loop {
            match self.place.poll(cx.waker()) {
                Turn::Go => return Poll::Ready(None),
                Turn::Refuse(refusal) => return Poll::Ready(Some(refusal)),
                Turn::Wait(time) => {
                    let mut waiting = Box::pin(sleep(time));
                    if waiting.as_mut().poll(cx).is_pending() {
                        self.sleep = Some(waiting);
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Refusal {
    pub(super) fn respond<ReqBody, ResBody>(
        &self,
        request: &Request<ReqBody>,
    ) -> Response<ResponseBody<ResBody>> {
        let (reason, message, delay) = match self {
            Self::Full(delay) => (
                "THROTTLE_FULL",
                "not sent: too many requests wait to be sent",
                delay,
            ),
            Self::TooLong(delay) => (
                "THROTTLE_TOO_LONG",
                "not sent: it would have to wait too long to be sent",
                delay,
            ),
        };
        Rejection::new(Code::ResourceExhausted, reason, message)
            .with_retry_after(*delay)
            .into_response(request.headers())
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
