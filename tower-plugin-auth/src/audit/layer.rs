use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_plugin_core::{ClientIp, RequestHead};

use super::{Audit, AuditSink, sink::SharedSink};

/// Writes down every refusal of every tower-plugin layer further in.
///
/// Put it outermost. A layer of any of our crates leaves its [`Rejection`](crate::Rejection) in the
/// extensions of the response it refuses with; this one makes an [`AuditEvent`](super::AuditEvent) of it,
/// with the method, the path, the client's address, the request id, and whom the request is from if an
/// [`AuthLayer`](crate::AuthLayer) or an [`AuthorizeLayer`](crate::AuthorizeLayer) further in knew. Requests and responses
/// pass as they are.
///
/// The path is written as it was sent, without its query, in visible ASCII: other characters as `\u{…}`, and
/// at most 256 bytes of it. The request id is that of the header `x-request-id`, of the request or else of the
/// response, if it is visible ASCII of at most 128 bytes.
///
/// What is refused after the head of the response was sent, such as a message in a stream, is not seen
/// here, and neither is what a layer from elsewhere refuses, or a request whose caller went away before it was
/// answered, unless [asked for](Self::with_admitted). One layer is enough: two of them write everything twice.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_plugin_auth::{RequireLayer, audit::{AuditEvent, AuditLayer}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seen = Arc::new(Mutex::new(String::new()));
/// let sink = {
///     let seen = Arc::clone(&seen);
///     move |event: &AuditEvent<'_>| seen.lock().unwrap().push_str(event.name())
/// };
/// let hello = service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// });
/// let service = AuditLayer::new(sink).layer(RequireLayer::new().layer(hello));
///
/// assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 401);
/// assert_eq!(*seen.lock().unwrap(), "authn_login_fail");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AuditLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) sink: SharedSink,
    pub(super) client_ip: ClientIp,
    pub(super) admitted: Option<Arc<Admitted>>,
}

/// Whether the request is written down though nobody refuses it.
type Admitted = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

impl AuditLayer {
    /// Writes down what is refused.
    pub fn new(sink: impl AuditSink + 'static) -> Self {
        Self {
            settings: Arc::new(Settings {
                sink: SharedSink(Arc::new(sink)),
                client_ip: ClientIp::peer(),
                admitted: None,
            }),
        }
    }

    /// Whose address is the client's: the peer's by default.
    pub fn with_client_ip(mut self, client_ip: ClientIp) -> Self {
        Arc::make_mut(&mut self.settings).client_ip = client_ip;
        self
    }

    /// Also writes down the requests for which `recorded` says so though nobody refuses them: as
    /// `authn_login_success` where it is known who called, as `request_admitted` where it is not, with the
    /// HTTP status of the answer. An error of the inner service in place of an answer is one, too, and so is a caller
    /// that went away before there was any, with the cause `CANCELLED`. A panic of the inner service is not, unless a
    /// layer further in makes an answer of it.
    ///
    /// ```
    /// use tower_plugin_auth::audit::{AuditLayer, TracingSink};
    ///
    /// let layer = AuditLayer::new(TracingSink)
    ///     .with_admitted(|request| request.uri.path().starts_with("/admin/"));
    /// # let _ = layer;
    /// ```
    pub fn with_admitted(
        mut self,
        recorded: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).admitted = Some(Arc::new(recorded));
        self
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Audit::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("client_ip", &self.client_ip)
            .finish_non_exhaustive()
    }
}
