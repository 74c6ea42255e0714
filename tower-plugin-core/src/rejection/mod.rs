use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};

use self::head::{belongs_to_rendering, decimal, echoed_content_type, whole_seconds};
use crate::{Code, Protocol, ResponseBody};

mod connect;
mod details;
mod grpc;
mod head;
mod json;
mod problem;
#[cfg(test)]
mod tests;
mod violation;

pub use violation::Violation;

/// A refusal: why a request went no further, told so that the caller's client library understands.
///
/// It is a *response*, never an error of the service: `S::Error` stays what it was. Plain HTTP gets
/// problem details (RFC 9457), Connect its JSON or end-of-stream envelope, gRPC a trailers-only
/// response with `google.rpc` details. Whatever the protocol, the response has
/// `cache-control: no-store`, the headers of the refusal, and the `Rejection` itself in its
/// extensions for the layers further out.
///
/// It carries no input of the caller: message, reason and violations are the server's words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection(Box<Inner>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Inner {
    code: Code,
    status: StatusCode,
    reason: &'static str,
    message: Cow<'static, str>,
    problem_type: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    retry_after: Option<Duration>,
    violations: Vec<Violation>,
    violations_left_out: bool,
    problem: Prepared,
}

impl Rejection {
    /// A refusal with the HTTP status that goes with `code`.
    ///
    /// `reason` is for programs and stays stable, in `UPPER_SNAKE_CASE` and at most 63 bytes
    /// (`google.rpc.ErrorInfo`). `message` is one public sentence; what exceeds 1 KiB is cut off at
    /// a character.
    #[must_use]
    pub fn new(code: Code, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            status: code.status(),
            reason,
            message: shortened(message.into()),
            problem_type: None,
            headers: Vec::new(),
            retry_after: None,
            violations: Vec::new(),
            violations_left_out: false,
            problem: Prepared::default(),
        }))
    }

    /// Sets a more telling HTTP status than the code's own, e.g. 431; gRPC callers never see it.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self.0.problem = Prepared::default();
        self
    }

    /// Sets the `type` of the problem details, a URI (RFC 9457 section 3.1.1).
    #[must_use]
    pub fn with_problem_type(mut self, uri: &'static str) -> Self {
        self.0.problem_type = Some(uri);
        self.0.problem = Prepared::default();
        self
    }

    /// Appends a header; earlier ones of the same name stay.
    ///
    /// Names that frame the response or state its outcome (`content-length`, `transfer-encoding`,
    /// `trailer`, `connection`, `grpc-*`) belong to the rendering: they are not sent. `content-type`,
    /// `cache-control` and `retry-after` are the rendering's own.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says when the same request may succeed: `retry-after` in whole seconds, rounded up and at
    /// least 1, and `google.rpc.RetryInfo` with the exact delay.
    ///
    /// Leave it out when waiting cannot help.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds what is wrong with one field; the first 16 are kept.
    #[must_use]
    pub fn with_violation(mut self, violation: Violation) -> Self {
        if self.0.violations.len() < MAX_VIOLATIONS {
            self.0.violations.push(violation);
        } else {
            self.0.violations_left_out = true;
        }
        self.0.problem = Prepared::default();
        self
    }

    /// Writes the body for plain HTTP callers now, so that its clones need not.
    ///
    /// For a refusal that many callers get, whatever the headers and the delay added to each: a layer keeps
    /// one and clones it. Nothing that is told changes.
    #[must_use]
    pub fn prepared(mut self) -> Self {
        let problem = Bytes::from(problem::body(&self));
        // The first clone of it allocates what later ones share: not on a request's way.
        drop(problem.clone());
        self.0.problem = Prepared(Some(problem));
        self
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The HTTP status plain HTTP and Connect unary callers see.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The public sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The headers of the refusal, without those the rendering adds.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// When the same request may succeed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What is wrong with the request, at most 16 fields of it.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// Renders the refusal in the protocol of the request with these headers.
    #[must_use]
    pub fn into_response<B>(self, request: &HeaderMap) -> Response<ResponseBody<B>> {
        self.respond(request, |rejection| match &rejection.0.problem.0 {
            Some(prepared) => Content::new(PROBLEM_JSON, prepared.clone()),
            None => Content::text(PROBLEM_JSON, problem::body(rejection)),
        })
    }

    /// Renders the refusal as [`into_response`](Self::into_response) does, with a body of your own
    /// for plain HTTP callers.
    ///
    /// Of what `body` returns, the body and its `content-type` are used; status and headers of the
    /// refusal stand. Connect and gRPC callers get the body their protocol prescribes.
    #[must_use]
    pub fn into_response_with<B>(
        self,
        request: &HeaderMap,
        body: impl FnOnce(&Self) -> Response<Bytes>,
    ) -> Response<ResponseBody<B>> {
        self.respond(request, |rejection| {
            let (mut parts, body) = body(rejection).into_parts();
            let content_type = parts
                .headers
                .remove(CONTENT_TYPE)
                .unwrap_or(HeaderValue::from_static("application/octet-stream"));
            Content::new(content_type, body)
        })
    }

    fn respond<B>(
        self,
        request: &HeaderMap,
        plain: impl FnOnce(&Self) -> Content,
    ) -> Response<ResponseBody<B>> {
        let protocol = Protocol::of(request);
        let (status, content) = match protocol {
            Protocol::Http => (self.status(), plain(&self)),
            Protocol::ConnectUnary => (
                self.status(),
                Content::text(JSON, connect::unary_body(&self)),
            ),
            Protocol::ConnectStream => (
                StatusCode::OK,
                Content::new(
                    echoed_content_type(request, CONNECT_PROTO),
                    connect::end_of_stream(&self),
                ),
            ),
            Protocol::Grpc => (
                StatusCode::OK,
                Content::empty(echoed_content_type(request, GRPC)),
            ),
            Protocol::GrpcWeb => (
                StatusCode::OK,
                Content::empty(echoed_content_type(request, GRPC_WEB)),
            ),
        };

        let mut response = Response::new(ResponseBody::full(content.body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let is_grpc = matches!(protocol, Protocol::Grpc | Protocol::GrpcWeb);
        // All of them and a `content-length`: grown once, and no larger than an allocator is quick with.
        headers.reserve(self.headers().len() + if is_grpc { 6 } else { 4 });
        for (name, value) in self.headers() {
            if !belongs_to_rendering(name) {
                headers.append(name, value.clone());
            }
        }
        if let Some(delay) = self.retry_after() {
            headers.insert(RETRY_AFTER, decimal(whole_seconds(delay)));
        }
        headers.insert(CONTENT_TYPE, content.content_type);
        headers.insert(CACHE_CONTROL, NO_STORE);
        if is_grpc {
            grpc::write_status(&self, headers);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Problem details that were written beforehand. They say what the rest of the refusal says, so they make
/// no difference between two.
#[derive(Clone, Debug, Default)]
struct Prepared(Option<Bytes>);

impl PartialEq for Prepared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Prepared {}

struct Content {
    content_type: HeaderValue,
    body: Bytes,
}

impl Content {
    /// Text is cut to size: what grew to more than it holds would cost `Bytes` a second allocation.
    fn text(content_type: HeaderValue, body: String) -> Self {
        Self::new(content_type, body.into_boxed_str().into_boxed_bytes())
    }

    fn new(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self {
            content_type,
            body: body.into(),
        }
    }

    fn empty(content_type: HeaderValue) -> Self {
        Self::new(content_type, Bytes::new())
    }
}

fn shortened(message: Cow<'static, str>) -> Cow<'static, str> {
    if message.len() <= MAX_MESSAGE {
        return message;
    }
    let mut end = MAX_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    match message {
        Cow::Borrowed(text) => text.get(..end).unwrap_or_default().into(),
        Cow::Owned(mut text) => {
            text.truncate(end);
            text.into()
        }
    }
}

const MAX_MESSAGE: usize = 1024;
const MAX_VIOLATIONS: usize = 16;

const CONNECT_PROTO: HeaderValue = HeaderValue::from_static("application/connect+proto");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_WEB: HeaderValue = HeaderValue::from_static("application/grpc-web");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
