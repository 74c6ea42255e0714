//! What a proxy does with connections and bytes.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Counts, Faults, Replies};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orders {
    pub(super) faults: Faults,
    pub(super) refuses: bool,
    /// How often all connections were to be reset so far.
    pub(super) resets: u64,
}

#[derive(Clone)]
pub(super) struct Network {
    server: u16,
    orders: watch::Receiver<Orders>,
    counts: watch::Sender<Counts>,
}

impl Network {
    pub(super) fn new(
        server: u16,
        orders: watch::Receiver<Orders>,
        counts: watch::Sender<Counts>,
    ) -> Self {
        Self {
            server,
            orders,
            counts,
        }
    }

    pub(super) async fn run(mut self, port: u16, mut listener: TcpListener) {
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
