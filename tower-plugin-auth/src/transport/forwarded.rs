//! Engine: whether every hop that a proxy tells of was encrypted.

/// The header in which trusted proxies write how a request came to them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForwardedProto {
    /// `Forwarded: proto=https` (RFC 7239, section 5.4).
    Forwarded,
    /// `X-Forwarded-Proto: https`.
    #[default]
    XForwardedProto,
}

impl ForwardedProto {
    /// Whether there is something said, and all of it is `https`: what the client wrote and what each proxy
    /// added. So a client can make its own request insecure, and no other secure.
    pub(super) fn is_https<'a>(self, values: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut hops = values
            .flat_map(|value| value.split(|&byte| byte == b','))
            .peekable();
        hops.peek().is_some()
            && hops.all(|hop| match self {
                Self::XForwardedProto => is_https(hop),
                Self::Forwarded => element_is_https(hop),
            })
    }
}

/// One element of `Forwarded`. A comma inside of quotes takes an element apart, and neither half of it may
/// say `https` for both: a half without `proto` fails.
fn element_is_https(element: &[u8]) -> bool {
    let mut protos = element.split(|&byte| byte == b';').filter_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|&byte| byte == b'=')?)?;
        let is_proto = name.trim_ascii().eq_ignore_ascii_case(b"proto");
        is_proto.then(|| value.strip_prefix(b"=").unwrap_or_default())
    });
    protos.next().is_some_and(is_https) && protos.next().is_none()
}

fn is_https(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    quoted.unwrap_or(value).eq_ignore_ascii_case(b"https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_is_only_what_was_encrypted_on_every_hop() {
        use ForwardedProto::{Forwarded as F, XForwardedProto as X};
        let cases: [(ForwardedProto, &[&str], bool); 25] = [
            (X, &["https"], true),
            (X, &["HTTPS"], true),
            (X, &[" https "], true),
            (X, &["https, https"], true),
            (X, &["https", "https"], true),
            (X, &[], false),
            (X, &[""], false),
            (X, &["http"], false),
            (X, &["https, http"], false),
            (X, &["http, https"], false),
            (X, &["https,"], false),
            (X, &["https", "http"], false),
            (X, &["httpss"], false),
            (X, &["https://"], false),
            (X, &["proto=https"], false),
            (F, &["proto=https"], true),
            (F, &["for=192.0.2.1;Proto=HTTPS;by=10.0.0.1"], true),
            (F, &["for=\"[2001:db8::1]\";proto=\"https\""], true),
            (
                F,
                &["for=192.0.2.1;proto=https, for=10.0.0.1;proto=https"],
                true,
            ),
            (F, &["for=192.0.2.1"], false),
            (F, &["proto=https, for=10.0.0.1"], false),
            (F, &["proto=https;proto=http"], false),
            (F, &["for=\"a, proto=https\""], false),
            (F, &["https"], false),
            (F, &[], false),
        ];
        for (header, values, expected) in cases {
            let values = values.iter().map(|value| value.as_bytes());
            assert_eq!(
                header.is_https(values.clone()),
                expected,
                "{:?}",
                values.collect::<Vec<_>>()
            );
        }
    }
}
