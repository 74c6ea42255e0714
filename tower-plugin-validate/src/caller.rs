//! What of a request decides how its caller is answered, kept when the request itself is gone.

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use tower_plugin_core::Protocol;

/// The protocol of a caller and the content type it is spoken in. Holding it allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    protocol: Protocol,
    content_type: [u8; MAX_CONTENT_TYPE],
    length: usize,
}

impl Caller {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut caller = Self {
            protocol: Protocol::of(headers),
            content_type: [0; MAX_CONTENT_TYPE],
            length: 0,
        };
        // Plain HTTP is answered in a form of our own, whatever it sent; and what is longer than this would not
        // be repeated.
        if caller.protocol != Protocol::Http
            && let Some(value) = headers.get(CONTENT_TYPE)
            && let Some(place) = caller.content_type.get_mut(..value.len())
        {
            place.copy_from_slice(value.as_bytes());
            caller.length = value.len();
        }
        caller
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Headers for which a refusal is rendered as it would be for the request's own.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let content_type = self.content_type.get(..self.length).unwrap_or_default();
        if self.length > 0
            && let Ok(value) = HeaderValue::from_bytes(content_type)
        {
            headers.insert(CONTENT_TYPE, value);
        }
        if self.protocol == Protocol::ConnectUnary {
            headers.insert(CONNECT_PROTOCOL_VERSION, HeaderValue::from_static("1"));
        } else if self.protocol != Protocol::Http && Protocol::of(&headers) != self.protocol {
            // The content type was too long to keep.
            headers.insert(CONTENT_TYPE, plain_content_type(self.protocol));
        }
        headers
    }
}

const fn plain_content_type(protocol: Protocol) -> HeaderValue {
    HeaderValue::from_static(match protocol {
        Protocol::ConnectStream => "application/connect+proto",
        Protocol::ConnectUnary | Protocol::Http => "application/json",
        Protocol::Grpc => "application/grpc",
        Protocol::GrpcWeb => "application/grpc-web",
    })
}

const MAX_CONTENT_TYPE: usize = 64;

const CONNECT_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_answered_as_its_request_would_have_been() {
        let long = format!("application/grpc+{}", "x".repeat(80));
        let cases = [
            (None, None),
            (Some("application/json"), None),
            (Some("application/json"), Some("1")),
            (Some("application/proto"), None),
            (Some("application/connect+json"), None),
            (Some("application/grpc+proto"), None),
            (Some("application/grpc-web-text"), None),
            (Some(&*long), None),
        ];
        for (content_type, version) in cases {
            let mut request = HeaderMap::new();
            if let Some(value) = content_type {
                request.insert(CONTENT_TYPE, value.parse().unwrap());
            }
            if let Some(value) = version {
                request.insert(CONNECT_PROTOCOL_VERSION, value.parse().unwrap());
            }
            let rendered = |headers: &HeaderMap| {
                use tower_plugin_core::{Code, Rejection};
                let rejection = Rejection::new(Code::Internal, "TEST", "test");
                let response = rejection.into_response::<()>(headers);
                (response.status(), response.headers().clone())
            };
            let kept = Caller::of(&request).headers();
            assert_eq!(rendered(&kept), rendered(&request), "{content_type:?}");
        }
    }
}
