//! Engine: URLs that a server is asked to call.

mod error;
mod host;
mod hosts;

pub use error::InvalidUrl;
pub use hosts::{Hosts, InvalidHosts};

use super::scan::{DIGIT, PCHAR, QUESTION, SLASH, Scan, step};
use crate::path::{PathRules, canonical};
use host::{Host, parse};

/// Which URLs a server may be asked to call (OWASP: server-side request forgery).
///
/// Accepts an absolute URL whose host is a public name or address. Refused are: other schemes; user
/// information; a fragment; anything outside the characters of RFC 3986; hosts that two parsers read
/// differently (numbers that are not four plain decimals: `2130706433`, `0x7f.1`, `0177.0.0.1`,
/// `127.1`); names of one label, `localhost`, and those of local networks (`.local`, `.internal`
/// and others); [addresses that are not public](super::is_public), however written, also inside an IPv6
/// address; port 0; paths that are [not canonical](crate::path).
///
/// It does not resolve names: a public name may lead to a private address, now or at the next
/// lookup. See [`is_public`](super::is_public) for the check that belongs to connecting. Nor does it follow
/// redirects: let the client follow none, or check each.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::format::{Hosts, InvalidUrl, UrlRule};
///
/// let rule = UrlRule::https();
/// assert_eq!(rule.check("https://hooks.example.com:8443/in?x=1"), Ok(()));
/// assert_eq!(rule.check("http://hooks.example.com/"), Err(InvalidUrl::Scheme));
/// assert_eq!(rule.check("https://[::ffff:169.254.169.254]/"), Err(InvalidUrl::NotPublic));
/// assert_eq!(rule.check("https://2130706433/"), Err(InvalidUrl::Host));
///
/// let rule = UrlRule::http().with_hosts(Hosts::new(["*.plugins.example", "10.0.0.7"])?);
/// assert_eq!(rule.check("http://10.0.0.7:8082/base"), Ok(()));
/// assert_eq!(rule.check("http://10.0.0.8:8082/base"), Err(InvalidUrl::NotAllowed));
/// # Ok::<_, tower_plugin_validate::format::InvalidHosts>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UrlRule {
    plain: bool,
    private: bool,
    hosts: Option<Hosts>,
    max_bytes: usize,
}

impl UrlRule {
    /// `https` only.
    pub const fn https() -> Self {
        Self {
            plain: false,
            private: false,
            hosts: None,
            max_bytes: MAX_BYTES,
        }
    }

    /// `https` and `http`.
    pub const fn http() -> Self {
        Self {
            plain: true,
            private: false,
            hosts: None,
            max_bytes: MAX_BYTES,
        }
    }

    /// Accepts these hosts only. One that is listed by itself, not by a wildcard, may be private.
    pub fn with_hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Accepts private addresses and local names: for a host and its plugins on one network, where
    /// nobody untrusted may say what is called. The metadata services of clouds stay refused.
    pub const fn with_insecure_private(mut self, allow: bool) -> Self {
        self.private = allow;
        self
    }

    #[cfg(test)]
    pub(super) const fn with_max(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Checks a URL.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`], the first thing found. It holds nothing of the URL.
    pub fn check<T: AsRef<[u8]> + ?Sized>(&self, text: &T) -> Result<(), InvalidUrl> {
        let text = text.as_ref();
        if text.len() > self.max_bytes {
            return Err(InvalidUrl::TooLong);
        }
        let (authority, rest) = self.after_scheme(text)?;
        let (host, port) = split_port(authority)?;
        check_port(port)?;
        self.check_host(host)?;
        check_rest(rest)
    }

    /// Authority and what follows it.
    fn after_scheme<'a>(&self, text: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), InvalidUrl> {
        let split = |scheme: &[u8]| {
            let (start, rest) = text.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let rest = split(b"https://").or_else(|| split(b"http://").filter(|_| self.plain));
        let rest = rest.ok_or(InvalidUrl::Scheme)?;
        step(rest.len());
        let end = rest.iter().position(|b| b"/?#".contains(b));
        let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
        if authority.contains(&b'@') {
            return Err(InvalidUrl::UserInformation);
        }
        Ok((authority, rest))
    }

    fn check_host(&self, host: &[u8]) -> Result<(), InvalidUrl> {
        let host = Host::parse(host)?;
        if host.is_metadata() {
            return Err(InvalidUrl::NotPublic);
        }
        match &self.hosts {
            Some(hosts) if hosts.lists(&host) => return Ok(()),
            Some(hosts) if !hosts.covers(&host) => return Err(InvalidUrl::NotAllowed),
            // A wildcard says whose names these are.
            Some(_) => return Ok(()),
            None => {}
        }
        if self.private || host.is_public() {
            Ok(())
        } else {
            Err(InvalidUrl::NotPublic)
        }
    }
}

/// Host and port, as they are written.
fn split_port(authority: &[u8]) -> Result<(&[u8], Option<&[u8]>), InvalidUrl> {
    step(authority.len());
    let after = if authority.first() == Some(&b'[') {
        let end = authority.iter().position(|&b| b == b']');
        end.ok_or(InvalidUrl::Host)? + 1
    } else {
        let end = authority.iter().position(|&b| b == b':');
        end.unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(after).ok_or(InvalidUrl::Host)?;
    match port {
        [] => Ok((host, None)),
        [b':', port @ ..] => Ok((host, Some(port))),
        _ => Err(InvalidUrl::Host),
    }
}

fn check_port(port: Option<&[u8]>) -> Result<(), InvalidUrl> {
    let Some(port) = port else { return Ok(()) };
    let mut scan = Scan::new(port);
    let digits = scan.take(DIGIT);
    let plain = scan.is_done() && (1..=5).contains(&digits.len()) && digits.first() != Some(&b'0');
    match parse::<u16>(digits) {
        Some(_) if plain => Ok(()),
        _ => Err(InvalidUrl::Port),
    }
}

/// Path and query.
fn check_rest(rest: &[u8]) -> Result<(), InvalidUrl> {
    let mut scan = Scan::new(rest);
    let path = scan.take_escaped(PCHAR | SLASH).ok_or(InvalidUrl::Path)?;
    let query = !scan.eat(b'?') || scan.take_escaped(PCHAR | SLASH | QUESTION).is_some();
    if !query || !scan.is_done() {
        return Err(InvalidUrl::Characters);
    }
    let path = rest.get(..path).unwrap_or_default();
    if path.is_empty() {
        return Ok(());
    }
    step(path.len());
    match canonical(path, &PathRules::http()) {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidUrl::Path),
    }
}

const MAX_BYTES: usize = 2048;
