//! Engine: names that everyone knows, and may therefore be named in a refusal.

use crate::sieve::Sieve;

/// The name as we write it, if it is a well-known one. Other names are the caller's own text and
/// are never repeated.
#[must_use]
pub fn well_known(name: &[u8]) -> Option<&'static str> {
    let known = KNOWN.iter().find(|known| known.as_bytes() == name);
    known.copied()
}

/// Whether a field of this name has one value.
pub(super) fn is_single(name: &[u8], repeated_forwarded: bool) -> bool {
    match name {
        b"authorization" | b"content-length" | b"content-type" | b"dpop" | b"grpc-timeout"
        | b"host" | b"te" | b"transfer-encoding" => true,
        _ => name.starts_with(b"x-forwarded-") && !repeated_forwarded,
    }
}

/// Of the names that say how a message is framed, or whom it is for.
pub(crate) static FRAMING: Sieve = Sieve::NOTHING
    .with(b"connection")
    .with(b"content-length")
    .with(b"host")
    .with(b"keep-alive")
    .with(b"proxy-connection")
    .with(b"te")
    .with(b"transfer-encoding")
    .with(b"upgrade");

pub(super) const KNOWN: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connect-protocol-version",
    "connect-timeout-ms",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "dpop",
    "expect",
    "forwarded",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-plugin-runtime-id",
    "x-request-id",
];
