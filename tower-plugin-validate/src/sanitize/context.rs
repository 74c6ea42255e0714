use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body;
use std::{pin::pin, task};
use tower_plugin_core::{Code, Rejection, ResponseBody};

use super::{RequestId, layer::Settings};
use crate::caller::Caller;

/// What is known of a request when its response is looked at. Holding it allocates nothing.
#[derive(Clone, Debug)]
pub(super) struct RequestContext {
    pub(super) caller: Caller,
    pub(super) reference: Reference,
}

/// The part of it that the body of a response is looked at with. Every response is as large as the largest
/// body can be, so that this is kept small.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) settings: Arc<Settings>,
    /// As it was sent: whether it may be one is looked at when it is needed.
    id: Option<RequestId>,
}

impl RequestContext {
    pub(super) fn of<B>(request: &Request<B>, settings: &Arc<Settings>) -> Self {
        let header = || {
            let value = request.headers().get(&settings.request_id_header)?;
            RequestId::unchecked(value.as_bytes())
        };
        Self {
            caller: Caller::of(request.headers()),
            reference: Reference {
                id: request.extensions().get().copied().or_else(header),
                settings: Arc::clone(settings),
            },
        }
    }
}

impl Reference {
    /// Logs an internal error, and says what the caller is told of it: nothing else, or with
    /// [details shown](super::SanitizeErrorsLayer::with_insecure_details) `None`, everything.
    #[cold]
    pub(super) fn keep(
        &self,
        code: Code,
        outcome: impl fmt::Display,
        detail: &[u8],
    ) -> Option<Kept> {
        let id = self.id.filter(RequestId::is_well_formed);
        let id = id.unwrap_or_else(RequestId::random);
        let length = detail.len();
        let detail = String::from_utf8_lossy(detail.get(..MAX_LOGGED).unwrap_or(detail));
        tracing::error!(reference = %id, %outcome, length, ?detail, "internal error");
        if self.settings.shows_details {
            return None;
        }
        let message = Cow::Owned(format!("{}, reference {id}", self.settings.message));
        let rejection = Rejection::new(code, "INTERNAL", message);
        Some(Kept { rejection, id })
    }
}

/// What the caller is told in place of an error.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) rejection: Rejection,
    pub(super) id: RequestId,
}

impl Kept {
    /// As it is rendered for a request with these headers: the head, and the body.
    pub(super) fn rendered(self, request: &HeaderMap) -> (http::response::Parts, Bytes) {
        let response = self.rejection.into_response::<String>(request);
        let (parts, body) = response.into_parts();
        (parts, whole(body))
    }
}

/// The bytes of a body that is there.
fn whole(body: ResponseBody<String>) -> Bytes {
    let mut cx = task::Context::from_waker(task::Waker::noop());
    match pin!(body).poll_frame(&mut cx) {
        task::Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

/// Whether the message of an error with this code is the server's own business.
pub(super) const fn is_internal(code: Code) -> bool {
    matches!(code, Code::Unknown | Code::Internal | Code::DataLoss)
}

const MAX_LOGGED: usize = 4 << 10;
