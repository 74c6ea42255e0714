//! Engine: which addresses are on the public internet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: not of this host, a private or shared network,
/// a link, a cloud's metadata service, multicast, documentation, or a tunnel that may lead to one
/// of these (IANA's special-purpose registries). An IPv4 address in an IPv6 one is judged by itself.
///
/// A name says nothing of the address behind it. Whoever connects to a URL that passed
/// [`UrlRule`](super::UrlRule) asks this of each address the name resolved to, and connects to that
/// address.
///
/// ```
/// use tower_plugin_validate::format::is_public;
///
/// assert!(is_public("93.184.215.14".parse()?));
/// assert!(!is_public("::ffff:10.0.0.1".parse()?));
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
#[must_use]
pub const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    ) && !is_metadata_v4(address)
}

/// 2000::/3 is what is assigned to the internet; of it, 2001::/23 is for protocols (Teredo among
/// them), 2002::/16 for 6to4, and two ranges for documentation.
const fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Whether an address is that of a cloud's metadata service, which hands out credentials.
pub(super) const fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_metadata_v4(address),
        IpAddr::V6(address) => match address.segments() {
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => true,
            [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => true,
            _ => match embedded(address) {
                Some(address) => is_metadata_v4(address),
                None => false,
            },
        },
    }
}

const fn is_metadata_v4(address: Ipv4Addr) -> bool {
    matches!(
        address.octets(),
        [169, 254, 169, 254]
            | [169, 254, 170, 2 | 23]
            | [100, 100, 100, 200]
            | [168, 63, 129, 16]
            | [192, 0, 0, 192]
    )
}

/// The IPv4 address that one of IPv6 stands for: mapped, compatible, 6to4, or behind NAT64.
pub(super) const fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] if high != 0 || low > 1 => (high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x64, 0xff9b, 1, _, _, _, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits((high as u32) << 16 | low as u32))
}
