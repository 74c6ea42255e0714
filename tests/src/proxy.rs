//! A bad network: a proxy in front of a server, whose faults can be changed while it runs.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use crate::redis::{PATIENCE, free_port};

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
        let network = Network {
            server,
            orders: orders.subscribe(),
            counts: counts.clone(),
        };
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

#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    faults: Faults,
    refuses: bool,
    resets: u64,
}

#[derive(Clone)]
struct Network {
    server: u16,
    orders: watch::Receiver<Orders>,
    counts: watch::Sender<Counts>,
}

impl Network {
    async fn run(mut self, port: u16, mut listener: TcpListener) {
        // Dropped with this future, and the connections with it.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    let resets = self.orders.borrow().resets;
                    self.count(|counts| counts.connections += 1);
                    connections.spawn(self.clone().connection(client, resets));
                }
                Some(_) = connections.join_next() => {}
                () = wait_for(&mut self.orders, |orders| orders.refuses) => {
                    drop(listener);
                    self.count(|counts| counts.is_refusing = true);
                    wait_for(&mut self.orders, |orders| !orders.refuses).await;
                    let again = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
                    listener = again.expect("the port is still free");
                    self.count(|counts| counts.is_refusing = false);
                }
            }
        }
    }

    /// Carries bytes between a client and the server until one of them ends or a reset is ordered
    /// (their number is no longer `resets`).
    async fn connection(self, mut client: TcpStream, resets: u64) {
        let mut orders = self.orders.clone();
        let ended = tokio::select! {
            ended = self.carry(&mut client) => ended,
            () = wait_for(&mut orders, |orders| orders.resets != resets) => Err(reset()),
        };
        if ended.is_err() {
            // Closing it then is a reset.
            let _ = client.set_zero_linger();
        }
        drop(client);
        self.count(|counts| counts.ended += 1);
    }

    async fn carry(&self, client: &mut TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            ended = self.requests(from_client, to_server) => ended,
            ended = self.replies(from_server, to_client) => ended,
        }
    }

    async fn requests(&self, mut client: ReadHalf<'_>, server: WriteHalf<'_>) -> io::Result<()> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let read = async move {
            while let Some(bytes) = read(&mut client).await? {
                let delay = self.orders.borrow().faults.delay_to_server;
                queue.send((due(delay), bytes)).await.map_err(|_| reset())?;
            }
            Ok(())
        };
        let write = deliver(queued, server, |bytes| {
            self.count(|counts| counts.bytes_to_server += bytes);
        });
        tokio::try_join!(read, write).map(drop)
    }

    async fn replies(&self, mut server: ReadHalf<'_>, client: WriteHalf<'_>) -> io::Result<()> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let read = async move {
            let mut is_mute = false;
            while let Some(bytes) = read(&mut server).await? {
                let faults = self.orders.borrow().faults;
                if faults.replies == Replies::Pass && !is_mute {
                    let reply = (due(faults.delay_to_client), bytes);
                    queue.send(reply).await.map_err(|_| reset())?;
                    continue;
                }
                is_mute = true;
                self.count(|counts| counts.bytes_lost += bytes.len() as u64);
                if faults.replies == Replies::Reset {
                    return Err(reset());
                }
            }
            Ok(())
        };
        let write = deliver(queued, client, |bytes| {
            self.count(|counts| counts.bytes_to_client += bytes);
        });
        tokio::try_join!(read, write).map(drop)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}

/// Waits for an order; for ever if nobody can give any more, since then this is about to end.
async fn wait_for(orders: &mut watch::Receiver<Orders>, order: impl FnMut(&Orders) -> bool) {
    if orders.wait_for(order).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn read(from: &mut ReadHalf<'_>) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; 16 * 1024];
    let length = from.read(&mut bytes).await?;
    bytes.truncate(length);
    Ok((length > 0).then_some(bytes))
}

/// `None` for at once: a timer is only good to a millisecond.
fn due(delay: Duration) -> Option<Instant> {
    (!delay.is_zero()).then(|| Instant::now() + delay)
}

async fn deliver(
    mut queued: mpsc::Receiver<(Option<Instant>, Vec<u8>)>,
    mut to: WriteHalf<'_>,
    mut count: impl FnMut(u64),
) -> io::Result<()> {
    while let Some((due, bytes)) = queued.recv().await {
        if let Some(due) = due {
            sleep_until(due).await;
        }
        // Counted before it can be answered.
        count(bytes.len() as u64);
        to.write_all(&bytes).await?;
    }
    Ok(())
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

const QUEUE: usize = 1024;
