//! Engine: the host of a URL.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::InvalidUrl;
use crate::format::{
    address::{embedded, is_metadata, is_public},
    host::{is_domain, is_local_name},
    scan::step,
};

/// A name or an address that all parsers agree about.
pub(super) enum Host<'a> {
    Address(IpAddr),
    Name(&'a [u8]),
}

impl<'a> Host<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, InvalidUrl> {
        step(text.len());
        if let Some(inner) = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")) {
            let address = parse::<Ipv6Addr>(inner).ok_or(InvalidUrl::Host)?;
            return Ok(Self::Address(address.into()));
        }
        // `std` takes four decimals without leading zeros and nothing else.
        if let Some(address) = parse::<Ipv4Addr>(text) {
            return Ok(Self::Address(address.into()));
        }
        if is_domain(text) || is_local_name(text) {
            return Ok(Self::Name(text));
        }
        Err(InvalidUrl::Host)
    }

    pub(super) fn is_public(&self) -> bool {
        match self {
            Self::Address(IpAddr::V6(address)) if embedded(*address).is_some() => false,
            Self::Address(address) => is_public(*address),
            Self::Name(name) => is_domain(name) && !LOCAL.iter().any(|zone| is_below(name, zone)),
        }
    }

    pub(super) fn is_metadata(&self) -> bool {
        match self {
            Self::Address(address) => is_metadata(*address),
            Self::Name(name) => METADATA.iter().any(|host| host.eq_ignore_ascii_case(name)),
        }
    }
}

pub(super) fn parse<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a name is in a zone or is the zone.
pub(super) fn is_below(name: &[u8], zone: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(zone.len()) else {
        return false;
    };
    let (front, end) = name.split_at(start);
    end.eq_ignore_ascii_case(zone) && matches!(front.last(), None | Some(b'.'))
}

/// Zones that no public name is in (RFC 6761, 6762, 8375, and what ICANN keeps for private use).
const LOCAL: [&[u8]; 10] = [
    b"corp",
    b"home",
    b"home.arpa",
    b"internal",
    b"intranet",
    b"lan",
    b"local",
    b"localdomain",
    b"localhost",
    b"private",
];

const METADATA: [&[u8]; 3] = [
    b"metadata.google.internal",
    b"metadata.goog",
    b"instance-data.ec2.internal",
];
