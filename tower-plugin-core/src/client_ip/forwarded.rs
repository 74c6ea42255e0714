//! Reads forwarding headers from right to left: each entry was written by the proxy to its right.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::{ForwardedHeader, unified};

/// The nearest address that is not a trusted proxy, starting from `peer`, which is one.
///
/// An entry nobody can read (`unknown`, an obfuscated name, garbage) ends the walk: to its left
/// stands what an untrusted party may have written, so the last trusted proxy is the best answer.
pub(super) fn client(
    header: ForwardedHeader,
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let name = match header {
        ForwardedHeader::Forwarded => "forwarded",
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
    };
    let mut nearest = peer;
    let values = headers.get_all(name).iter().rev();
    for value in values {
        // Visible ASCII only, as both grammars ask.
        let Ok(value) = value.to_str() else { break };
        for entry in value.rsplit(',') {
            let address = match header {
                ForwardedHeader::Forwarded => forwarded_for(entry),
                ForwardedHeader::XForwardedFor => Some(entry),
            };
            let Some(ip) = address.and_then(parse) else {
                return nearest;
            };
            nearest = ip;
            if !is_trusted(ip) {
                return nearest;
            }
        }
    }
    nearest
}

/// The node of the `for` parameter in one forwarded-element (RFC 7239 section 4).
///
/// A comma or semicolon inside a quoted string would split an element in two; neither can occur in
/// an address, and a broken element ends the walk.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| {
            let value = value.trim();
            value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .unwrap_or(value)
        })
    })
}

/// An address with or without port, IPv6 with or without brackets.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|addr| addr.ip()))
        .ok()
        .map(unified)
}
