//! A bad network: a proxy in front of a server, whose faults can be changed while it runs.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::redis::{PATIENCE, free_port};

use network::{Network, Orders};

mod network;

/// A TCP proxy on a port of 127.0.0.1, which passes everything on until it is told otherwise.
///
/// It ends, with its connections, when this is dropped. It needs a runtime in real time.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    orders: watch::Sender<Orders>,
    counts: watch::Sender<Counts>,
    task: JoinHandle<()>,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// How long bytes of the client are on the way.
    pub delay_to_server: Duration,
    /// How long bytes of the server are on the way.
    pub delay_to_client: Duration,
    /// What becomes of what the server says.
    pub replies: Replies,
}

/// What becomes of what the server says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Replies {
    /// The client gets it.
    #[default]
    Pass,
    /// It is lost. A connection that has lost a byte stays mute, since what follows would be taken
    /// for the answer to something else.
    Drop,
    /// It is lost, and the client's connection is reset: the server has done what was asked, and
    /// the client cannot know.
    Reset,
}

/// What a proxy has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Connections accepted so far.
    pub connections: u64,
    /// Of these, the ones that have ended.
    pub ended: u64,
    /// Bytes the server was sent.
    pub bytes_to_server: u64,
    /// Bytes the client was sent.
    pub bytes_to_client: u64,
    /// Bytes of the server that the client was not sent.
    pub bytes_lost: u64,
    /// Whether new connections are refused now.
    pub is_refusing: bool,
}

impl Counts {
    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.connections - self.ended
    }
}

impl Proxy {
    /// Starts a proxy in front of a port of 127.0.0.1.
    pub async fn start(server: u16) -> Self {
        let (port, listener) = loop {
            // Somebody else may take a free port at once.
            let port = free_port();
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                break (port, listener);
            }
        };
        let (orders, counts) = (watch::Sender::default(), watch::Sender::default());
        let network = Network::new(server, orders.subscribe(), counts.clone());
        let task = tokio::spawn(network.run(port, listener));
        Self {
            port,
            orders,
            counts,
            task,
        }
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the faults for what arrives from now on, on open connections too.
    pub fn set(&self, faults: Faults) {
        self.orders.send_modify(|orders| orders.faults = faults);
    }

    /// Resets every open connection (RST), and waits until that is done.
    pub async fn reset(&self) {
        let connections = self.counts().connections;
        self.orders.send_modify(|orders| orders.resets += 1);
        self.until(|counts| counts.ended >= connections).await;
    }

    /// Refuses new connections from now on (nobody listens at the port); open ones go on.
    pub async fn refuse(&self) {
        self.orders.send_modify(|orders| orders.refuses = true);
        self.until(|counts| counts.is_refusing).await;
    }

    /// Accepts connections again.
    pub async fn accept(&self) {
        self.orders.send_modify(|orders| orders.refuses = false);
        self.until(|counts| !counts.is_refusing).await;
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until it has seen what is asked for.
    ///
    /// # Panics
    ///
    /// If that takes longer than twenty seconds.
    pub async fn until(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        let seen = timeout(PATIENCE, counts.wait_for(condition)).await;
        match seen {
            Ok(counts) => *counts.expect("the sender is here"),
            Err(_) => panic!("in vain: {:?}", self.counts()),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
