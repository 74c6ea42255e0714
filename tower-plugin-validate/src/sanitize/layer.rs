use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, header::SERVER};
use tower_layer::Layer;

use super::{SanitizeErrors, scrub::Scrubbed};

/// Keeps the words of internal errors from callers.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct SanitizeErrorsLayer {
    // Shared with the services: a router may make one for every request.
    settings: Arc<Settings>,
}

impl SanitizeErrorsLayer {
    /// Says "internal error", reads `x-request-id`, and takes `server`, `x-powered-by` and their like from every
    /// response.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings::default()),
        }
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Replaces the public sentence; the reference is appended to it. Cut off at 512 bytes.
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            let mut end = MAX_MESSAGE;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message = message.get(..end).unwrap_or_default().to_owned().into();
        }
        self.settings_mut().message = message;
        self
    }

    /// Reads the request's name from another header. A caller may set it, unless a layer outside does.
    pub fn with_request_id_header(mut self, name: HeaderName) -> Self {
        self.settings_mut().request_id_header = name;
        self
    }

    /// Replaces the headers that are taken from every response, and from the trailers of gRPC.
    pub fn with_scrubbed_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.settings_mut().scrubbed = Scrubbed::new(names);
        self
    }

    /// Lets everything pass, for a developer's machine: callers see what broke and where. It is logged all the
    /// same. Headers are still scrubbed.
    pub fn with_insecure_details(mut self, shown: bool) -> Self {
        self.settings_mut().shows_details = shown;
        self
    }
}

/// [`SanitizeErrorsLayer::new`].
impl Default for SanitizeErrorsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for SanitizeErrorsLayer {
    type Service = SanitizeErrors<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SanitizeErrors::new(inner, Arc::clone(&self.settings))
    }
}

/// Says that a response with a 5xx status holds nothing but what the caller may know.
///
/// Insert it into the extensions of the response, for example of a readiness probe that says what it
/// waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct PublicError;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) message: Cow<'static, str>,
    pub(super) request_id_header: HeaderName,
    pub(super) shows_details: bool,
    scrubbed: Scrubbed,
}

impl Settings {
    pub(super) fn scrub(&self, headers: &mut HeaderMap) {
        self.scrubbed.remove_from(headers);
    }
}

impl Default for Settings {
    fn default() -> Self {
        let scrubbed = SCRUBBED.map(HeaderName::from_static);
        Self {
            message: Cow::Borrowed("internal error"),
            request_id_header: HeaderName::from_static("x-request-id"),
            shows_details: false,
            scrubbed: Scrubbed::new(scrubbed.into_iter().chain([SERVER])),
        }
    }
}

const MAX_MESSAGE: usize = 512;

const SCRUBBED: [&str; 9] = [
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-backend-server",
    "x-debug-token",
    "x-debug-token-link",
    "x-generator",
    "x-powered-by",
    "x-runtime",
    "x-server-powered-by",
];
