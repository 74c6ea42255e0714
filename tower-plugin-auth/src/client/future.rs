use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_service::Service;

use super::{
    TokenSource,
    keeper::{Keeper, Stamp, Stamped},
};

pin_project! {
    /// The response of [`Bearer`](super::Bearer): what the inner service answers, or that there was no token.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, T, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S::Future, Held<S, T, ReqBody>, Sent<T>, ResBody>,
    }
}

impl<S, T, ReqBody, ResBody> ResponseFuture<S, T, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn waiting(waiting: Waiting, held: Held<S, T, ReqBody>) -> Self {
        Self {
            state: State::Waiting {
                waiting,
                held: Some(held),
            },
        }
    }

    pub(super) fn calling(future: S::Future, sent: Option<Sent<T>>) -> Self {
        Self {
            state: State::Calling { future, sent },
        }
    }

    pub(super) fn refused(request: &HeaderMap, pause: Duration) -> Self {
        Self {
            state: State::Refused {
                response: Some(no_token(request, pause)),
            },
        }
    }
}

impl<S, T, ReqBody, ResBody> Future for ResponseFuture<S, T, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    T: TokenSource,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // Polled again after it was done, a future stays silent rather than panic.
            let next = match state.as_mut().project() {
                StateProj::Waiting { waiting, held } => {
                    let token = ready!(waiting.as_mut().poll(cx));
                    let Some(held) = held.take() else {
                        return Poll::Pending;
                    };
                    match token {
                        Ok(token) => {
                            let (future, sent) = held.call(token);
                            State::Calling {
                                future,
                                sent: Some(sent),
                            }
                        }
                        Err(pause) => State::Refused {
                            response: Some(no_token(held.request.headers(), pause)),
                        },
                    }
                }
                StateProj::Calling { future, sent } => {
                    let response = ready!(future.poll(cx))?;
                    if let Some(sent) = sent.take() {
                        sent.learn_from(response.status(), response.headers());
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
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

impl<S, T, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, T, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, H, K, B> {
        Waiting { waiting: Waiting, held: Option<H> },
        Calling { #[pin] future: F, sent: Option<K> },
        Refused { response: Option<Response<ResponseBody<B>>> },
    }
}

pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<Stamped, Duration>> + Send>>;

/// A request on hold, and the service that was ready for it.
pub(super) struct Held<S, T, B> {
    ready: S,
    request: Request<B>,
    keeper: Keeper<T>,
}

impl<S, T: TokenSource, B> Held<S, T, B> {
    pub(super) const fn new(ready: S, request: Request<B>, keeper: Keeper<T>) -> Self {
        Self {
            ready,
            request,
            keeper,
        }
    }

    fn call(mut self, token: Stamped) -> (S::Future, Sent<T>)
    where
        S: Service<Request<B>>,
    {
        let name = self.keeper.settings().header.name().clone();
        self.request.headers_mut().insert(name, token.value);
        let future = self.ready.call(self.request);
        (future, Sent::new(self.keeper, token.stamp))
    }
}

/// A token on its way to the server.
pub(super) struct Sent<T> {
    keeper: Keeper<T>,
    stamp: Stamp,
}

impl<T: TokenSource> Sent<T> {
    pub(super) const fn new(keeper: Keeper<T>, stamp: Stamp) -> Self {
        Self { keeper, stamp }
    }

    /// gRPC servers say it in the head of a response without messages.
    fn learn_from(self, status: StatusCode, headers: &HeaderMap) {
        let in_grpc = headers.get("grpc-status").is_some_and(|code| code == "16");
        if status == StatusCode::UNAUTHORIZED || in_grpc {
            self.keeper.refused(self.stamp);
        }
    }
}

fn no_token<B>(request: &HeaderMap, pause: Duration) -> Response<ResponseBody<B>> {
    Rejection::new(
        Code::Unavailable,
        "TOKEN_UNAVAILABLE",
        "there is no token to send; the request was not sent",
    )
    .with_retry_after(pause)
    .into_response(request)
}
