use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_service::Service;

use crate::{Policy, limit::Found};

pin_project! {
    /// The response of [`PolicyLookup`](super::PolicyLookup).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody, ResBody> {
        Asking {
            asking: Asking,
            held: Option<(S, Request<ReqBody>)>,
        },
        Calling {
            #[pin]
            future: F,
        },
        Refused {
            response: Option<Response<ResponseBody<ResBody>>>,
        },
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Option<Policy>, ()>> + Send>>;

impl<S, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) const fn calling(future: S::Future) -> Self {
        Self {
            state: State::Calling { future },
        }
    }

    pub(super) const fn asking(asking: Asking, service: S, request: Request<ReqBody>) -> Self {
        Self {
            state: State::Asking {
                asking,
                held: Some((service, request)),
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
        let mut state = self.project().state;
        loop {
            // Polled again after it was done, a future stays silent rather than panic.
            let next = match state.as_mut().project() {
                StateProj::Asking { asking, held } => {
                    let answer = ready!(asking.as_mut().poll(cx));
                    let Some((mut service, mut request)) = held.take() else {
                        return Poll::Pending;
                    };
                    match answer {
                        Ok(found) => {
                            if let Some(policy) = found {
                                request.extensions_mut().insert(Found(policy));
                            }
                            State::Calling {
                                future: service.call(request),
                            }
                        }
                        Err(()) => State::Refused {
                            response: Some(unavailable().into_response(request.headers())),
                        },
                    }
                }
                StateProj::Calling { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
            };
            state.set(next);
        }
    }
}

fn unavailable() -> Rejection {
    Rejection::new(
        Code::Unavailable,
        "POLICY_UNAVAILABLE",
        "temporarily unavailable",
    )
    .with_retry_after(Duration::from_secs(1))
}

impl<S, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
