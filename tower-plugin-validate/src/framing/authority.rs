//! Engine: what a host and a port look like.

use core::net::Ipv6Addr;

use super::decimal;
use crate::octets::{all, is_digit, is_letter};

/// `uri-host [ ":" port ]` of RFC 9110, section 7.2, except that a host is not empty, has no list
/// separator in it, and that an address in brackets is one of IPv6.
pub(super) fn is_host_and_port(text: &[u8]) -> bool {
    // Most hosts are nothing but a name.
    let plain = |b| is_letter(b) | is_digit(b) | (b == b'.') | (b == b'-');
    if !text.is_empty() && all(text, plain) {
        return true;
    }
    let (is_host, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let mut parts = rest.splitn(2, |&b| b == b']');
            let address = parts.next().unwrap_or_default();
            (is_ipv6(address), parts.next())
        }
        None => {
            let end = text.iter().position(|&b| b == b':');
            let (name, port) = text.split_at(end.unwrap_or(text.len()));
            (is_name(name), Some(port))
        }
    };
    is_host && port.is_some_and(is_port)
}

fn is_ipv6(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// A registered name or an IPv4 address: nothing in it ends a host early.
fn is_name(text: &[u8]) -> bool {
    let is_part = |&b: &u8| PARTS.get(usize::from(b)).copied().unwrap_or(false);
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

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static PARTS: [bool; 256] = {
    let delimiters = b"\"#,/:<>?@[\\]^`{|}";
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = (b as u8).is_ascii_graphic();
        b += 1;
    }
    let mut i = 0;
    while i < delimiters.len() {
        table[delimiters[i] as usize] = false;
        i += 1;
    }
    table
};
