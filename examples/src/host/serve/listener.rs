use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::net::TcpListener;

use crate::host::{HostState, tls::Tls};

/// Where connections come from, and what is made of them: [`HostState::listener`] makes it.
///
/// There is no other way, so that no call from plugin to plugin is taken to one that a host does not know
/// for its own.
#[derive(Debug)]
pub struct Listener {
    pub(super) address: SocketAddr,
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<Tls>,
    pub(super) connections: Connections,
}

/// How many connections there are and were. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    failed_handshakes: AtomicU64,
}

/// An open connection, until this is dropped.
pub(super) struct Open(Connections);

impl Listener {
    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves TLS, if there is any.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Counts here.
    #[must_use]
    pub fn with_connections(mut self, connections: Connections) -> Self {
        self.connections = connections;
        self
    }
}

impl HostState {
    /// A listener of this host: no plugin can have a call taken there, even if its address is one where
    /// providers may be.
    ///
    /// # Errors
    ///
    /// If its own address cannot be read.
    pub fn listener(&self, tcp: TcpListener) -> io::Result<Listener> {
        let address = tcp.local_addr()?;
        self.is_at(address);
        Ok(Listener {
            address,
            tcp,
            tls: None,
            connections: Connections::default(),
        })
    }
}

impl Connections {
    /// Connections now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Relaxed)
    }

    /// Connections ever.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Relaxed)
    }

    /// Connections closed unheard, because their address had its share.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    /// TLS handshakes that came to nothing.
    #[must_use]
    pub fn failed_handshakes(&self) -> u64 {
        self.0.failed_handshakes.load(Relaxed)
    }

    pub(super) fn enter(&self) -> Open {
        self.0.accepted.fetch_add(1, Relaxed);
        self.0.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    pub(super) fn refuse(&self) {
        self.0.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn fail_handshake(&self) {
        self.0.failed_handshakes.fetch_add(1, Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}
