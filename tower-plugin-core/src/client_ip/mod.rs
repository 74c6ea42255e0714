use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net};

mod forwarded;
#[cfg(test)]
mod tests;

/// The peer's address, put into request extensions by a server that is neither axum nor tonic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "servers build it; there is nothing to grow"
)]
pub struct PeerAddr(pub SocketAddr);

/// Finds the address a request came from.
///
/// By default it is the peer's: by feature from the connect info of axum or tonic, else from
/// [`PeerAddr`]. Headers are written by whoever sends them, so they are read only when the peer is one of
/// the [trusted proxies](Self::with_trusted_proxies): then from right to left, past every trusted
/// proxy, to the first address that is not one. The leftmost entry, which the client wrote, never
/// counts for itself.
///
/// Addresses are unified: IPv4 in IPv6 clothes (`::ffff:a.b.c.d`) is IPv4, and the port is dropped.
///
/// ```
/// use http::{Extensions, HeaderMap, HeaderValue};
/// use tower_plugin_core::{ClientIp, PeerAddr};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.9"));
/// let mut extensions = Extensions::new();
/// extensions.insert(PeerAddr("10.0.0.1:4711".parse()?));
///
/// let peer = ClientIp::peer();
/// assert_eq!(peer.of(&headers, &extensions), Some("10.0.0.1".parse()?));
///
/// let behind_proxy = ClientIp::peer().with_trusted_proxies(["10.0.0.0/8".parse()?]);
/// assert_eq!(behind_proxy.of(&headers, &extensions), Some("203.0.113.9".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientIp {
    trusted: Box<[IpNet]>,
    header: ForwardedHeader,
    /// Which bits of an IPv6 address [`group`](Self::group) keeps.
    ipv6_mask: u128,
}

/// The header in which trusted proxies write whom they forward for.
///
/// Only one is read: a proxy maintains one and passes what the client wrote into the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `Forwarded: for=...` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
}

impl ClientIp {
    /// The peer's address; no header is read.
    pub fn peer() -> Self {
        Self {
            trusted: Box::default(),
            header: ForwardedHeader::default(),
            ipv6_mask: mask(64),
        }
    }

    /// Believes the forwarding header of peers in these networks.
    pub fn with_trusted_proxies(mut self, proxies: impl IntoIterator<Item = IpNet>) -> Self {
        self.trusted = proxies.into_iter().map(unified_net).collect();
        self
    }

    /// Chooses the header to believe; `X-Forwarded-For` by default.
    pub fn with_header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Sets how many leading bits of an IPv6 address [`group`](Self::group) keeps; 64 by default,
    /// the smallest network a subscriber gets. Those who are given a /56 or /48 want that.
    ///
    /// # Errors
    ///
    /// [`InvalidClientIp`] unless it is in 1 to 128.
    pub fn with_ipv6_prefix(mut self, bits: u8) -> Result<Self, InvalidClientIp> {
        if !(1..=128).contains(&bits) {
            return Err(InvalidClientIp { bits });
        }
        self.ipv6_mask = mask(bits);
        Ok(self)
    }

    /// The address the request came from, or `None` where the server left no peer address (then
    /// headers are not believed either).
    #[inline]
    #[must_use]
    pub fn of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = unified(peer_addr(extensions)?.ip());
        Some(self.of_peer(headers, peer))
    }

    #[inline]
    fn of_peer(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if self.trusted.is_empty() || !self.is_trusted(peer) {
            return peer;
        }
        self.forwarded_for(headers, peer)
    }

    #[cold]
    fn forwarded_for(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        forwarded::client(self.header, headers, peer, |ip| self.is_trusted(ip))
    }

    /// What shares one limit with `ip`: itself for IPv4, its network for IPv6.
    ///
    /// A subscriber owns 2^64 IPv6 addresses at least; each must not be worth a fresh quota.
    #[inline]
    #[must_use]
    pub fn group(&self, ip: IpAddr) -> IpAddr {
        unified(IpAddr::V6(Ipv6Addr::from_bits(self.group_bits(ip))))
    }

    /// The [group](Self::group) of the client, as the bits of an IPv6 address (IPv4 is written as
    /// `::ffff:a.b.c.d`): what a rate limit is keyed by. `None` where [`of`](Self::of) is.
    #[inline]
    #[must_use]
    pub fn group_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<u128> {
        let peer = peer_addr(extensions)?.ip();
        if self.trusted.is_empty() {
            return Some(self.group_bits(peer));
        }
        Some(self.group_bits(self.of_peer(headers, unified(peer))))
    }

    /// The [group](Self::group) of an address, as [`group_of`](Self::group_of) writes it.
    #[inline]
    #[must_use]
    pub const fn group_bits(&self, ip: IpAddr) -> u128 {
        match ip {
            IpAddr::V4(v4) => MAPPED | v4.to_bits() as u128,
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                // IPv4 written as IPv6 is IPv4, which is not grouped.
                if bits >> 32 == MAPPED >> 32 {
                    bits
                } else {
                    bits & self.ipv6_mask
                }
            }
        }
    }

    fn is_trusted(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}

impl Default for ClientIp {
    fn default() -> Self {
        Self::peer()
    }
}

/// An IPv6 prefix length outside 1 to 128.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidClientIp {
    bits: u8,
}

impl fmt::Display for InvalidClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipv6 prefix of {} bits is outside 1 to 128", self.bits)
    }
}

impl std::error::Error for InvalidClientIp {}

/// The leading bits of an IPv6 address.
const fn mask(bits: u8) -> u128 {
    match u128::MAX.checked_shl(128 - bits as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// `::ffff:0:0`, under which IPv4 is written as IPv6.
const MAPPED: u128 = 0xffff << 32;

/// IPv4 written as IPv6 is the same client; without this, all of IPv4 would share one /64.
#[inline]
fn unified(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// A network of IPv4 written as IPv6 is one of IPv4: addresses are, by the time they are compared.
fn unified_net(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.network().to_ipv4_mapped();
    let bits = v6.prefix_len().checked_sub(96);
    v4.zip(bits)
        .and_then(|(v4, bits)| Ipv4Net::new(v4, bits).ok())
        .map_or(net, IpNet::V4)
}

#[inline]
fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(addr)) = extensions.get() {
        return Some(*addr);
    }
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::TcpConnectInfo;
        let tcp = extensions.get::<TcpConnectInfo>();
        #[cfg(feature = "tonic-tls")]
        let tcp = tcp.or_else(|| {
            use tonic::transport::server::TlsConnectInfo;
            let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
            tls.map(TlsConnectInfo::get_ref)
        });
        if let Some(addr) = tcp.and_then(TcpConnectInfo::remote_addr) {
            return Some(addr);
        }
    }
    extensions.get().map(|PeerAddr(addr)| *addr)
}
