//! Engine: what a host and a port look like.

use core::net::Ipv6Addr;

use super::decimal;

/// `uri-host [ ":" port ]` of RFC 9110, section 7.2, except that a host is not empty, has no list
/// separator in it, and that an address in brackets is one of IPv6.
pub(super) fn is_host_and_port(text: &[u8]) -> bool {
    let (is_host, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let mut parts = rest.splitn(2, |&b| b == b']');
            let address = parts.next().unwrap_or_default();
            (is_ipv6(address), parts.next())
        }
        None => {
            let name = text.split(|&b| b == b':').next().unwrap_or_default();
            (is_name(name), text.get(name.len()..))
        }
    };
    is_host && port.is_some_and(is_port)
}

fn is_ipv6(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// A registered name or an IPv4 address: nothing in it ends a host early.
fn is_name(text: &[u8]) -> bool {
    let is_part = |&b: &u8| b.is_ascii_graphic() && !b"\"#,/:<>?@[\\]^`{|}".contains(&b);
    !text.is_empty() && text.iter().all(is_part)
}

/// Nothing, or a colon and a number of 16 bits. The number may be left out (RFC 3986, section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    match text {
        [] | [b':'] => true,
        [b':', digits @ ..] => decimal(digits).is_some_and(|port| port <= u64::from(u16::MAX)),
        _ => false,
    }
}
