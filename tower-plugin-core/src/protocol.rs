use http::{HeaderMap, HeaderName, header::CONTENT_TYPE};

/// The protocol a caller speaks, and so the only form in which it can read a refusal.
///
/// A plain 429 with a text body reaches a Connect client as `unavailable` and a gRPC client as
/// `UNKNOWN`; each needs its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new protocol must not fall into a wildcard arm that renders it wrongly"
)]
pub enum Protocol {
    /// A Connect streaming call (`application/connect+*`): errors travel in the end-of-stream envelope.
    ConnectStream,
    /// A Connect unary call: errors are JSON under an HTTP status.
    ConnectUnary,
    /// gRPC over HTTP/2: errors are `grpc-status` trailers.
    Grpc,
    /// gRPC-Web: as gRPC, over any HTTP version.
    GrpcWeb,
    /// Everything else: errors are RFC 9457 problem details.
    Http,
}

impl Protocol {
    /// Tells the protocol from the request's `content-type` and `connect-protocol-version`.
    ///
    /// `application/proto` is taken for Connect even without a version header: servers need not
    /// require that header, and no other protocol uses the media type. `application/json` without
    /// it is plain HTTP, whose problem details carry the same `code` that Connect clients look for.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
    /// use tower_plugin_core::Protocol;
    ///
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(Protocol::of(&headers), Protocol::Http);
    ///
    /// headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    /// assert_eq!(Protocol::of(&headers), Protocol::Grpc);
    /// ```
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .map_or(&b""[..], http::HeaderValue::as_bytes);
        let essence = content_type
            .split(|&byte| byte == b';' || byte == b' ')
            .next()
            .unwrap_or_default();

        if let Some(rest) = strip_prefix(essence, b"application/grpc") {
            if is_end_or_suffix(rest) {
                return Self::Grpc;
            }
            if strip_prefix(rest, b"-web").is_some() {
                return Self::GrpcWeb;
            }
        }
        if strip_prefix(essence, b"application/connect+").is_some() {
            return Self::ConnectStream;
        }
        if headers.contains_key(&CONNECT_PROTOCOL_VERSION)
            || essence.eq_ignore_ascii_case(b"application/proto")
        {
            return Self::ConnectUnary;
        }
        Self::Http
    }
}

/// Media types are case-insensitive (RFC 9110 section 8.3.1).
fn strip_prefix<'a>(value: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn is_end_or_suffix(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"+")
}

const CONNECT_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_protocol_follows_from_the_head() {
        let cases = [
            ("", false, Protocol::Http),
            ("application/json", false, Protocol::Http),
            ("application/json", true, Protocol::ConnectUnary),
            (
                "application/json; charset=utf-8",
                true,
                Protocol::ConnectUnary,
            ),
            ("application/proto", false, Protocol::ConnectUnary),
            ("application/proto", true, Protocol::ConnectUnary),
            ("application/protobuf", false, Protocol::Http),
            ("application/connect+proto", true, Protocol::ConnectStream),
            ("application/connect+json", false, Protocol::ConnectStream),
            ("application/grpc", false, Protocol::Grpc),
            ("application/grpc+proto", false, Protocol::Grpc),
            ("Application/GRPC+json", false, Protocol::Grpc),
            ("application/grpc;charset=utf-8", false, Protocol::Grpc),
            ("application/grpc-web", false, Protocol::GrpcWeb),
            ("application/grpc-web-text+proto", false, Protocol::GrpcWeb),
            ("application/grpcx", false, Protocol::Http),
            ("text/plain", false, Protocol::Http),
        ];
        for (content_type, version, expected) in cases {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            if version {
                headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
            }
            assert_eq!(
                Protocol::of(&headers),
                expected,
                "{content_type:?} {version}"
            );
        }
    }
}
