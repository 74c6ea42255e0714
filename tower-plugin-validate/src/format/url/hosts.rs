//! Engine: lists of hosts.

use core::{fmt, net::Ipv4Addr};
use std::sync::Arc;

use super::host::{Host, is_below, parse};

/// Hosts that may be called: names, addresses, and `*.zone` for every name below a zone.
#[derive(Clone, Debug)]
pub struct Hosts {
    exact: Arc<[Box<[u8]>]>,
    zones: Arc<[Box<[u8]>]>,
}

impl Hosts {
    /// Takes 1 to 1024 of them. Addresses of IPv6 in brackets; no ports.
    ///
    /// # Errors
    ///
    /// [`InvalidHosts`] if there are none or too many, or one is no host.
    pub fn new<I>(hosts: I) -> Result<Self, InvalidHosts>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let (mut exact, mut zones) = (Vec::new(), Vec::new());
        for (index, host) in hosts.into_iter().enumerate() {
            let host = host.as_ref().to_ascii_lowercase();
            let (list, name) = match host.strip_prefix(b"*.") {
                Some(zone) => (&mut zones, zone),
                None => (&mut exact, &host[..]),
            };
            let address_zone = host.starts_with(b"*") && parse::<Ipv4Addr>(name).is_some();
            if index >= MAX_HOSTS || Host::parse(name).is_err() || address_zone {
                return Err(InvalidHosts { index: Some(index) });
            }
            list.push(name.into());
        }
        if exact.is_empty() && zones.is_empty() {
            return Err(InvalidHosts { index: None });
        }
        Ok(Self {
            exact: exact.into(),
            zones: zones.into(),
        })
    }

    /// Whether the host is listed by itself.
    pub(super) fn lists(&self, host: &Host<'_>) -> bool {
        self.exact.iter().any(|listed| match host {
            Host::Name(name) => listed.eq_ignore_ascii_case(name),
            Host::Address(address) => {
                matches!(Host::parse(listed), Ok(Host::Address(listed)) if listed == *address)
            }
        })
    }

    /// Whether the host is below a zone.
    pub(super) fn covers(&self, host: &Host<'_>) -> bool {
        let Host::Name(name) = host else { return false };
        self.zones
            .iter()
            .any(|zone| name.len() > zone.len() && is_below(name, zone))
    }
}

/// A list of hosts that is empty, too long, or holds something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHosts {
    index: Option<usize>,
}

impl InvalidHosts {
    /// Which one is no host, or one too many, counted from 0; `None` if there are none.
    #[must_use]
    pub const fn index(&self) -> Option<usize> {
        self.index
    }
}

impl fmt::Display for InvalidHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(
                f,
                "hosts[{index}] must be a name, an address or *.zone, one of at most {MAX_HOSTS}"
            ),
            None => f.write_str("hosts must not be empty"),
        }
    }
}

impl core::error::Error for InvalidHosts {}

const MAX_HOSTS: usize = 1024;
