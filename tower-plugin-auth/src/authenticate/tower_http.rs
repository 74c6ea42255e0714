use std::{
    fmt,
    future::{Future, Ready},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Empty;
use pin_project_lite::pin_project;
use tower_http::{auth::AsyncAuthorizeRequest, validate_request::ValidateRequest};
use tower_plugin_core::{Answer, AnswerFuture, Principal, RequestHead, ResponseBody};

use super::{
    AuthError, Authenticator,
    gate::{Anonymous, Gate},
};
use crate::refusal::Realm;

/// An authenticator for tower-http's layers, for stacks that are built of those.
///
/// `AsyncRequireAuthorizationLayer` takes any authenticator; `ValidateRequestHeaderLayer` takes those that
/// never have to wait, such as [`ApiKeyAuthenticator`](super::ApiKeyAuthenticator) and what
/// [`from_fn`](super::from_fn) makes. Both answer a refused caller as [`AuthLayer`](super::AuthLayer) does, and
/// leave the [`Principal`] in the extensions of a request that passes.
///
/// Those layers want refusals to have the body type of the inner service, so it has to be one that can be
/// made of bytes: axum's `Body`, `http_body_util::Full`. [`AuthLayer`](super::AuthLayer) asks for no such
/// thing, and copies no request to a future while the answer is there.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_http::auth::AsyncRequireAuthorizationLayer;
/// use tower_plugin_auth::{AuthError, authenticate::{RequestAuthorizer, from_fn}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let nobody = from_fn(|_| Err(AuthError::Missing));
/// let service = AsyncRequireAuthorizationLayer::new(RequestAuthorizer::new(nobody)).layer(service_fn(
///     async |_: Request<Full<Bytes>>| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())),
/// ));
/// let response = service.oneshot(Request::default()).await.unwrap();
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"plugins\"");
/// # }
/// ```
#[must_use]
pub struct RequestAuthorizer<A, ResBody> {
    authenticator: A,
    gate: Gate,
    body: PhantomData<fn() -> ResBody>,
}

impl<A: Authenticator, ResBody> RequestAuthorizer<A, ResBody> {
    /// Asks this authenticator, once per request.
    pub fn new(authenticator: A) -> Self {
        Self {
            gate: Gate::new(&authenticator, Anonymous::Refuse),
            authenticator,
            body: PhantomData,
        }
    }

    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.gate.refusals_mut().set_realm(realm);
        self
    }
}

impl<A, B, ResBody> AsyncAuthorizeRequest<B> for RequestAuthorizer<A, ResBody>
where
    A: Authenticator,
    ResBody: From<Bytes>,
{
    type RequestBody = B;
    type ResponseBody = ResBody;
    type Future = Authorizing<A::Future, B, ResBody>;

    fn authorize(&mut self, mut request: Request<B>) -> Self::Future {
        let answer = self
            .authenticator
            .authenticate(&RequestHead::from(&request));
        self.authenticator.mark_sensitive(request.headers_mut());
        Authorizing {
            answer: answer.into_future(),
            held: Some((request, self.gate.clone())),
            body: PhantomData,
        }
    }
}

impl<A, B, ResBody> ValidateRequest<B> for RequestAuthorizer<A, ResBody>
where
    A: Authenticator<Future = Ready<Result<Principal, AuthError>>>,
    ResBody: From<Bytes>,
{
    type ResponseBody = ResBody;

    fn validate(&mut self, request: &mut Request<B>) -> Result<(), Response<ResBody>> {
        let decision = match self
            .authenticator
            .authenticate(&RequestHead::from(&*request))
        {
            Answer::Ready(decision) => decision,
            Answer::Pending(ready) => ready.into_inner(),
        };
        self.authenticator.mark_sensitive(request.headers_mut());
        self.gate
            .admit(decision, request.extensions_mut())
            .map_err(|error| with_body_of_bytes(self.gate.refuse(&error, request.headers())))
    }
}

impl<A: Clone, ResBody> Clone for RequestAuthorizer<A, ResBody> {
    fn clone(&self) -> Self {
        Self {
            authenticator: self.authenticator.clone(),
            gate: self.gate.clone(),
            body: PhantomData,
        }
    }
}

impl<A: fmt::Debug, ResBody> fmt::Debug for RequestAuthorizer<A, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestAuthorizer")
            .field("authenticator", &self.authenticator)
            .field("gate", &self.gate)
            .finish()
    }
}

pin_project! {
    /// A request whose sender is being found out.
    #[must_use = "futures do nothing unless polled"]
    pub struct Authorizing<F, B, ResBody> {
        #[pin]
        answer: AnswerFuture<Result<Principal, AuthError>, F>,
        held: Option<(Request<B>, Gate)>,
        body: PhantomData<fn() -> ResBody>,
    }
}

impl<F, B, ResBody> Future for Authorizing<F, B, ResBody>
where
    F: Future<Output = Result<Principal, AuthError>>,
    ResBody: From<Bytes>,
{
    type Output = Result<Request<B>, Response<ResBody>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let decision = ready!(this.answer.poll(cx));
        // A future polled after it has finished may do anything but panic here.
        let Some((mut request, gate)) = this.held.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match gate.admit(decision, request.extensions_mut()) {
            Ok(()) => Ok(request),
            Err(error) => Err(with_body_of_bytes(gate.refuse(&error, request.headers()))),
        })
    }
}

impl<F, B, ResBody> fmt::Debug for Authorizing<F, B, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizing").finish_non_exhaustive()
    }
}

/// A refusal in the type of body that tower-http asks for.
fn with_body_of_bytes<ResBody: From<Bytes>>(
    refusal: Response<ResponseBody<Empty<Bytes>>>,
) -> Response<ResBody> {
    refusal.map(|mut body| {
        // The body of a refusal is one chunk or none, and there at once.
        let mut cx = Context::from_waker(Waker::noop());
        let frame = match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            Poll::Ready(Some(Err(never))) => match never {},
            Poll::Ready(None) | Poll::Pending => None,
        };
        frame.unwrap_or_default().into()
    })
}
