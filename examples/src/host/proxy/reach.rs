//! Engine: which addresses providers may have.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use tower_plugin_validate::format::{Hosts, InvalidHosts, UrlRule, is_public};

/// Whom the operator lets the host connect to.
///
/// A URL that a plugin names is taken only if it is one of the operator's hosts or networks. That says
/// what may be looked up; what may be connected to is decided once more about each address a name leads
/// to, at that moment, so a name that leads elsewhere later leads nowhere. The metadata services of
/// clouds are never reached.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    // Hosts named one by one: they may be private.
    named: Option<UrlRule>,
    // Names below `*.zone`: their addresses must be public or in a network.
    zones: Option<UrlRule>,
    networks: Box<[IpNet]>,
    // The hosts of URLs that are the operator's own: they may be private. So no plugin may name them for
    // being in a zone.
    own: Option<UrlRule>,
}

impl Reach {
    pub(super) fn new(
        hosts: &[String],
        networks: &[IpNet],
        own: &[&str],
    ) -> Result<Self, InvalidHosts> {
        let (zones, named): (Vec<_>, Vec<_>) =
            hosts.iter().partition(|host| host.starts_with("*."));
        Ok(Self {
            named: rule(&named)?,
            zones: rule(&zones)?,
            networks: networks.into(),
            own: rule(own)?,
        })
    }

    /// Whether a plugin may name this as where it is.
    pub(super) fn takes(&self, url: &str) -> bool {
        if !is_sound(url) {
            return false;
        }
        let is_listed = |rule: &Option<UrlRule>| accepts(rule, url);
        is_listed(&self.named)
            || is_listed(&self.zones) && !is_listed(&self.own)
            || url
                .parse::<Uri>()
                .ok()
                .and_then(|url| address(url.host()?))
                .is_some_and(|address| self.is_in_a_network(address))
    }

    /// Whether this address of this host may be connected to. `host` as it is written in a URL.
    pub(super) fn may_dial(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if !is_sound(&url_of(&bracketed(address))) {
            return false;
        }
        let url = url_of(host);
        accepts(&self.own, &url)
            || accepts(&self.named, &url)
            || self.is_in_a_network(address)
            || accepts(&self.zones, &url) && is_public(address)
    }

    fn is_in_a_network(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Whether all parsers read the same in it, and it is no metadata service.
pub(super) fn is_sound(url: &str) -> bool {
    UrlRule::http()
        .with_insecure_private(true)
        .check(url)
        .is_ok()
}

/// The address that a URL's host is, if it is one and no name.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some(bare.parse::<IpAddr>().ok()?.to_canonical())
}

fn rule<T: AsRef<str>>(hosts: &[T]) -> Result<Option<UrlRule>, InvalidHosts> {
    if hosts.is_empty() {
        return Ok(None);
    }
    let hosts = Hosts::new(hosts.iter().map(AsRef::as_ref))?;
    Ok(Some(UrlRule::http().with_hosts(hosts)))
}

fn accepts(rule: &Option<UrlRule>, url: &str) -> bool {
    rule.as_ref().is_some_and(|rule| rule.check(url).is_ok())
}

fn url_of(host: &str) -> String {
    format!("http://{host}/")
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(hosts: &[&str], networks: &[&str], own: &[&str]) -> Reach {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let networks: Vec<_> = networks.iter().map(|net| net.parse().unwrap()).collect();
        Reach::new(&hosts, &networks, own).unwrap()
    }

    #[test]
    fn f55_a_plugin_may_name_only_what_the_operator_lists() {
        let nothing = reach(&[], &[], &["10.0.0.5"]);
        for url in [
            "http://10.0.0.5/",
            "http://93.184.215.14/",
            "http://a.example/",
        ] {
            assert!(!nothing.takes(url), "{url}");
        }
        let some = reach(
            &["log.internal", "10.0.0.7", "*.plugins.example"],
            &["127.0.0.0/8", "fd00:1::/32"],
            &[],
        );
        for url in [
            "http://log.internal:8080/base",
            "http://10.0.0.7:1/",
            "http://a.plugins.example/",
            "http://127.0.0.1:8082",
            "http://[::ffff:127.0.0.1]/",
            "http://[fd00:1::5]:80/",
        ] {
            assert!(some.takes(url), "{url}");
        }
        for url in [
            "http://10.0.0.8/",
            "http://plugins.example/",
            "http://elsewhere.example/",
            "http://169.254.169.254/",
            "http://127.1/",
            "http://2130706433/",
            "http://user@127.0.0.1/",
            "http://localhost/",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!some.takes(url), "{url}");
        }
    }

    // It used to be open to every plugin, and on any port: the operator's hosts may be private.
    #[test]
    fn f55_a_zone_does_not_lend_the_operators_own_hosts_to_plugins() {
        let zones = &["*.plugins.example"];
        let own = reach(zones, &[], &["db.plugins.example"]);
        assert!(!own.takes("http://db.plugins.example:22/"));
        assert!(!own.takes("http://DB.plugins.example/"));
        assert!(own.takes("http://a.plugins.example/"));
        // Who lists it by its own name means it.
        let both = [zones, &["db.plugins.example"][..]].concat();
        assert!(reach(&both, &[], &["db.plugins.example"]).takes("http://db.plugins.example/"));
    }

    #[test]
    fn f55_the_address_decides_whatever_the_name_says() {
        let reach = reach(
            &["log.internal", "*.plugins.example"],
            &["10.1.0.0/16"],
            &["own.internal"],
        );
        let dial = |host: &str, ip: &str| reach.may_dial(host, ip.parse().unwrap());
        assert!(dial("log.internal", "192.168.0.1"));
        assert!(dial("own.internal", "127.0.0.1"));
        assert!(dial("a.plugins.example", "93.184.215.14"));
        assert!(dial("a.plugins.example", "10.1.2.3"), "in a network");
        for private in ["127.0.0.1", "10.2.0.1", "::1", "::ffff:10.2.0.1", "fd00::1"] {
            assert!(!dial("a.plugins.example", private), "{private}");
        }
        for host in ["log.internal", "own.internal", "a.plugins.example"] {
            for metadata in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
                assert!(!dial(host, metadata), "{host} {metadata}");
            }
        }
        assert!(!dial("elsewhere.example", "93.184.215.14"));
    }

    #[test]
    fn the_metadata_service_is_out_of_reach_in_an_open_network_too() {
        let reach = reach(&[], &["0.0.0.0/0", "::/0"], &[]);
        assert!(!reach.takes("http://169.254.169.254/"));
        assert!(!reach.may_dial("169.254.169.254", "169.254.169.254".parse().unwrap()));
        assert!(reach.takes("http://10.0.0.1/"));
    }
}
