use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::settings::Settings;
use crate::{Decision, RateLimitHeaders, Unavailable};

pin_project! {
    /// The response of [`RateLimit`](super::RateLimit).
    ///
    /// Dropped before it is done, it leaves nothing behind but what was debited.
    pub struct ResponseFuture<S, D, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        #[pin]
        state: State<S, S::Future, D, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, D, ReqBody, ResBody> {
        Deciding {
            #[pin]
            decision: D,
            pending: Option<Box<Pending<S, ReqBody>>>,
        },
        Calling {
            #[pin]
            future: F,
            decoration: Option<Decoration>,
        },
        Refused {
            response: Option<Response<ResponseBody<ResBody>>>,
        },
    }
}

/// What waits for the decision: a ready service and its request. Boxed, so that a future that has
/// nothing to wait for stays small.
struct Pending<S, ReqBody> {
    service: S,
    request: Request<ReqBody>,
    settings: Arc<Settings>,
}

/// What an admitted response is told about its quota.
struct Decoration {
    decision: Decision,
    settings: Arc<Settings>,
}

impl Decoration {
    /// `None` unless admitted responses carry headers: then there is nothing to keep.
    fn new(decision: Option<Decision>, settings: &Arc<Settings>) -> Option<Self> {
        let decision = decision.filter(|_| settings.headers == RateLimitHeaders::Always)?;
        Some(Self {
            decision,
            settings: Arc::clone(settings),
        })
    }
}

impl<S, D, ReqBody, ResBody> ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) fn calling(
        future: S::Future,
        decision: Option<Decision>,
        settings: &Arc<Settings>,
    ) -> Self {
        let decoration = Decoration::new(decision, settings);
        Self {
            state: State::Calling { future, decoration },
        }
    }

    pub(super) const fn refused(response: Response<ResponseBody<ResBody>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(super) fn deciding(
        decision: D,
        service: S,
        request: Request<ReqBody>,
        settings: &Arc<Settings>,
    ) -> Self {
        let settings = Arc::clone(settings);
        let pending = Pending {
            service,
            request,
            settings,
        };
        Self {
            state: State::Deciding {
                decision,
                pending: Some(Box::new(pending)),
            },
        }
    }
}

impl<S, D, ReqBody, ResBody> Future for ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    D: Future<Output = Result<Decision, Unavailable>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Deciding { decision, pending } => {
                    let answer = ready!(decision.poll(cx));
                    let Some(mut pending) = pending.take() else {
                        return Poll::Pending;
                    };
                    let settings = &pending.settings;
                    match answer {
                        Ok(decision) if decision.is_allowed() => State::Calling {
                            decoration: Decoration::new(Some(decision), settings),
                            future: pending.service.call(pending.request),
                        },
                        refused => {
                            let rejection = match refused {
                                Ok(decision) => settings.refusal(&decision),
                                Err(unavailable) => settings.unavailable(unavailable),
                            };
                            let headers = pending.request.headers();
                            State::Refused {
                                response: Some(rejection.into_response(headers)),
                            }
                        }
                    }
                }
                StateProj::Calling { future, decoration } => {
                    let mut response = ready!(future.poll(cx))?.map(ResponseBody::inner);
                    if let Some(Decoration { decision, settings }) = decoration {
                        settings.decorate(decision, response.headers_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { response } => {
                    // Polled again after it was done, it stays silent rather than panic.
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, D, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, D, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
