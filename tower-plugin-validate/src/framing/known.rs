//! Engine: names that everyone knows, and may therefore be named in a refusal.

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

/// Whether a name may be one of those that say how a message is framed, by its length and its first
/// letter. Few others have both.
#[inline]
pub(super) fn may_frame(name: &[u8]) -> bool {
    let letters = LETTERS.get(name.len()).copied().unwrap_or(0);
    name.first().is_some_and(|&b| letters & letter(b) != 0)
}

const fn letter(b: u8) -> u32 {
    1 << (b & 0x1f)
}

/// The first letters of those names by their length.
static LETTERS: [u32; 18] = {
    let mut letters = [0; 18];
    letters[2] = letter(b't');
    letters[4] = letter(b'h');
    letters[7] = letter(b'u');
    letters[10] = letter(b'c') | letter(b'k');
    letters[14] = letter(b'c');
    letters[16] = letter(b'p');
    letters[17] = letter(b't');
    letters
};

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
