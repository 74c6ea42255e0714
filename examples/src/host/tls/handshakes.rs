use std::{collections::HashMap, fmt, io, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Semaphore, time};
use tokio_rustls::TlsAcceptor;
use tower_plugin_auth::TlsInfo;
use tower_plugin_core::ClientIp;

use super::{Encrypted, Tls};

/// The handshakes of one listener: so many at a time, and an [eighth](SHARE) of them of one address.
///
/// Whoever has no place waits for one, and an address that has its share waits for itself alone. So it
/// takes many addresses to keep everyone else waiting, and those of another listener never are.
pub(in crate::host) struct Handshakes {
    tls: Tls,
    places: Semaphore,
    share: usize,
    // No more entries than connections.
    addresses: Mutex<HashMap<IpAddr, Address>>,
}

struct Address {
    places: Arc<Semaphore>,
    connections: usize,
}

/// One connection among those of its address, until this is dropped.
struct InLine<'a> {
    handshakes: &'a Handshakes,
    address: IpAddr,
    places: Arc<Semaphore>,
}

impl Tls {
    /// The handshakes of another listener.
    pub(in crate::host) fn handshakes(&self) -> Handshakes {
        let most = self.0.config.handshakes;
        Handshakes {
            tls: self.clone(),
            places: Semaphore::new(most),
            share: (most / SHARE).max(1),
            addresses: Mutex::default(),
        }
    }
}

impl Handshakes {
    /// Shakes hands.
    pub(in crate::host) async fn accept(
        &self,
        stream: TcpStream,
        peer: IpAddr,
    ) -> io::Result<Encrypted> {
        let tls = &*self.tls.0;
        let shaking = async {
            let line = self.line_up(peer);
            let _share = line.places.acquire().await.map_err(io::Error::other)?;
            let _place = self.places.acquire().await.map_err(io::Error::other)?;
            let acceptor = TlsAcceptor::from(tls.server.current());
            acceptor.accept(stream).await
        };
        let stream = time::timeout(tls.config.handshake_timeout, shaking).await??;
        let info = TlsInfo::of_rustls(stream.get_ref().1);
        Ok(Encrypted { stream, info })
    }

    // An IPv6 network counts as one address, as it does for connections.
    fn line_up(&self, address: IpAddr) -> InLine<'_> {
        let address = ClientIp::peer().group(address);
        let mut addresses = self.addresses.lock();
        let entry = addresses.entry(address).or_insert_with(|| Address {
            places: Arc::new(Semaphore::new(self.share)),
            connections: 0,
        });
        entry.connections += 1;
        InLine {
            handshakes: self,
            address,
            places: Arc::clone(&entry.places),
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut addresses = self.handshakes.addresses.lock();
        if let Some(entry) = addresses.get_mut(&self.address) {
            entry.connections -= 1;
            if entry.connections == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes")
            .field("tls", &self.tls)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

/// Which part of the places one address may have.
const SHARE: usize = 8;
