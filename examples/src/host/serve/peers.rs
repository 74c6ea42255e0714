use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::ClientIp;

/// How many connections each client address has. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    most: usize,
    // No more entries than connections.
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place among those of its address; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Arc::default(),
        }
    }

    /// A place for one more connection, unless this address has its share. An IPv6 network counts
    /// as one address, as it does for the quotas.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = ClientIp::peer().group(address);
        let mut open = self.open.lock();
        let connections = open.entry(address).or_insert(0);
        if *connections >= self.most {
            return None;
        }
        *connections += 1;
        drop(open);
        Some(Place {
            peers: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock();
        if let Some(connections) = open.get_mut(&self.address) {
            *connections -= 1;
            if *connections == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_leaves_nothing_behind() {
        let peers = Peers::new(2);
        let enter = |address: &str| peers.enter(address.parse().unwrap());
        let (a, b) = (enter("10.0.0.1"), enter("::ffff:10.0.0.1"));
        assert!(a.is_some() && b.is_some());
        assert!(enter("10.0.0.1").is_none());

        // One subscriber's network is one client.
        let (c, d) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(c.is_some() && d.is_some() && enter("2001:db8::3").is_none());
        let other = enter("2001:db8:0:1::1");
        assert!(other.is_some());

        drop(a);
        assert!(enter("10.0.0.1").is_some());
        drop((b, c, d, other));
        assert!(peers.open.lock().is_empty());
    }
}
