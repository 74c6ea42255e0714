//! The connection loop: bounded connections, bounded waiting, an end that waits for what is in hand.

use std::{
    convert::Infallible,
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

use axum::{Router, body::Body};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    time,
};
use tower::ServiceExt;
use tower_plugin_core::PeerAddr;

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

/// Serves `app` until `shutdown` completes, then finishes what is in hand for at most `drain`.
///
/// HTTP/1.1 and cleartext HTTP/2. At most [`MAX_CONNECTIONS`] at a time: more wait to be accepted.
/// `readiness` holds while new requests are welcome.
///
/// # Errors
///
/// If the listener's own address cannot be read. Failures to accept are logged and survived.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    readiness: Readiness,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
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
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, app.clone(), &graceful);
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            // Out of file descriptors, most likely: closing connections frees some.
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    readiness.set(false);
    drop(listener);
    tracing::info!("shutting down: finishing what is in hand");
    if time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("shutting down: gave up on what is still in hand");
    }
    Ok(())
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let _best_effort = stream.set_nodelay(true);
    let first_request = Arc::new(Notify::new());
    let seen = Arc::clone(&first_request);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        seen.notify_one();
        request.extensions_mut().insert(PeerAddr(peer));
        let app = app.clone();
        async move {
            Ok::<_, Infallible>(
                app.oneshot(request.map(Body::new))
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_LIST);
    let serving = graceful.watch(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned(),
    );
    async move {
        let mut serving = pin!(serving);
        // hyper's header timeout starts once it knows the HTTP version: a connection that never says
        // so much is closed here.
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = first_request.notified() => serving.await,
            () = time::sleep(HEADER_TIMEOUT) => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broke off");
        }
    }
}

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 4096;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEAD_LIST: u32 = 64 * 1024;
const MAX_STREAMS: u32 = 128;
