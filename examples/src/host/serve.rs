//! The connection loop: bounded connections, bounded waiting, an end that waits for what is in hand.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time,
};

mod activity;
mod connection;
mod listener;
mod peers;

pub use listener::{Connections, Listener};

use peers::Peers;

/// Whether the host takes requests. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Whether it does.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// What [`serve`] keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time; more wait to be accepted. See [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// Connections of one client address at a time; more are closed unheard.
    pub connections_per_client: usize,
    /// How long a connection may be quiet.
    pub idle: Duration,
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long the end waits for what is in hand.
    pub drain: Duration,
}

/// Serves `app` until `shutdown` completes, then finishes what is in hand.
///
/// HTTP/1.1 and HTTP/2, in clear or over TLS as the [`Listener`] says. A connection on which nothing has
/// been asked for some time is closed. `readiness` holds while new requests are welcome. What is in hand
/// is finished within [`Bounds::drain`] or cut off, and cut off as well if this is dropped. Failures to
/// accept are logged and survived.
pub async fn serve(
    listener: Listener,
    app: Router,
    readiness: Readiness,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) {
    let Listener {
        address,
        tcp: listener,
        tls,
        connections,
    } = listener;
    let tls = tls.map(|tls| Arc::new(tls.handshakes()));
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let peers = Peers::new(bounds.connections_per_client);
    // Every connection holds a receiver, so that the end of the last one can be waited for; and sees when
    // nobody waits any more.
    let (end, ending) = watch::channel(());
    let take = |(stream, peer): (TcpStream, SocketAddr), slot: Option<OwnedSemaphorePermit>| {
        let Some(place) = peers.enter(peer.ip()) else {
            connections.refuse();
            tracing::debug!(%peer, "closed: this address has too many connections");
            return;
        };
        let (app, ending) = (app.clone(), ending.clone());
        let (tls, connections) = (tls.clone(), connections.clone());
        let _best_effort = stream.set_nodelay(true);
        tokio::spawn(async move {
            let open = connections.enter();
            match tls {
                None => connection::serve(stream, peer, None, app, bounds, ending).await,
                Some(tls) => {
                    match connection::encrypt(&tls, stream, peer.ip(), ending.clone()).await {
                        Some(encrypted) => {
                            let (stream, info) = (encrypted.stream, Some(encrypted.info));
                            connection::serve(stream, peer, info, app, bounds, ending).await;
                        }
                        None => connections.fail_handshake(),
                    }
                }
            }
            drop((slot, place, open));
        });
    };

    let mut shutdown = pin!(shutdown);
    readiness.set(true);
    tracing::info!(%address, "serving");
    loop {
        let accept = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok(connection) => take(connection, slot),
            // Out of file descriptors, most likely: closing connections frees some.
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    readiness.set(false);
    tracing::info!("shutting down: finishing what is in hand");
    let mut queue = Queue::of(listener);
    while let Ok(slot) = Arc::clone(&slots).try_acquire_owned()
        && let Some(connection) = queue.next()
    {
        take(connection, Some(slot));
    }
    drop(queue);
    drop(ending);
    // Fails if there is no connection, and then there is none to tell.
    let _nobody = end.send(());
    if time::timeout(bounds.drain, end.closed()).await.is_err() {
        tracing::warn!("shutting down: gave up on what is still in hand");
    }
}

/// Who the kernel has let in already; they would be reset with the listener.
///
/// Asks the kernel itself, because what tokio knows of the listener may be older. Whoever comes
/// between the last answer and the end of the listener is still reset: no call does both at once.
struct Queue(Option<std::net::TcpListener>);

impl Queue {
    fn of(listener: TcpListener) -> Self {
        // Stays non-blocking.
        Self(listener.into_std().ok())
    }
}

impl Iterator for Queue {
    type Item = (TcpStream, SocketAddr);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.as_ref()?.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true).ok()?;
                    return Some((TcpStream::from_std(stream).ok()?, peer));
                }
                // Gave up waiting; the next may not have.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }
}

/// Most connections of one address, and of all addresses unless told otherwise.
///
/// The next one waits in the kernel's queue until one ends, whoever it is from: plugins that are not
/// connected yet, and the probes, on whose silence a supervisor restarts the host. So no address may
/// have them all ([`Bounds::connections_per_client`]), and none keeps one for nothing. It takes many
/// addresses together to fill them, which is for whatever stands in front of the host to notice. An
/// open-files limit below this number does the same sooner.
pub const MAX_CONNECTIONS: usize = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
