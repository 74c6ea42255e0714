use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::host::HostState;

/// Where the host itself listens. No call from plugin to plugin goes there, whatever the operator lists:
/// it would come from the host's own address, to the administration too. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners(Arc<Mutex<Vec<SocketAddr>>>);

impl Listeners {
    pub(super) fn add(&self, address: SocketAddr) {
        self.0.lock().push(address);
    }

    /// Whether it is the host that would answer, as far as that is seen from the address: the same one, or
    /// the same port of this machine.
    pub(super) fn include(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.any_at(address.port(), |own| {
            own == ip || ip.is_loopback() || ip.is_unspecified()
        })
    }

    /// The same once it is connected: whoever listens on every address of the machine is reached by those
    /// that are not known here, and a machine that talks to itself has one address at both ends.
    pub(super) fn answer(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let is_this_machine = local.ip().to_canonical() == remote.ip().to_canonical();
        is_this_machine && self.any_at(remote.port(), |own| own.is_unspecified())
    }

    fn any_at(&self, port: u16, is_it: impl Fn(IpAddr) -> bool) -> bool {
        let own = self.0.lock();
        own.iter()
            .any(|own| own.port() == port && is_it(own.ip().to_canonical()))
    }
}

impl HostState {
    /// Says where else this host is reached, beside its [listeners](Self::listener): no plugin can have a
    /// call taken there, even if the address is one where providers may be.
    pub fn is_at(&self, address: SocketAddr) {
        self.proxy.listeners.add(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: &str) -> Listeners {
        let listeners = Listeners::default();
        listeners.add(own.parse().unwrap());
        listeners
    }

    #[test]
    fn f55_the_hosts_port_is_its_own_on_every_address_of_the_machine() {
        for (own, address, expected) in [
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", true),
            ("10.0.0.1:80", "10.0.0.1:81", false),
            ("10.0.0.1:80", "10.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", true),
            ("127.0.0.1:80", "[::1]:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:81", false),
        ] {
            let included = of(own).include(address.parse().unwrap());
            assert_eq!(included, expected, "{own} {address}");
        }
        for (own, local, remote, expected) in [
            ("0.0.0.0:80", "10.0.0.1:5000", "10.0.0.1:80", true),
            ("[::]:80", "[::ffff:10.0.0.1]:5000", "10.0.0.1:80", true),
            ("0.0.0.0:80", "10.0.0.1:5000", "10.0.0.2:80", false),
            ("0.0.0.0:80", "10.0.0.1:5000", "10.0.0.1:81", false),
        ] {
            let answers = of(own).answer(local.parse().unwrap(), remote.parse().unwrap());
            assert_eq!(answers, expected, "{own} {local} {remote}");
        }
    }
}
