use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time,
};
use tower::ServiceExt;
use tower_plugin_auth::TlsInfo;
use tower_plugin_core::PeerAddr;

use super::{Bounds, activity::Requests};
use crate::host::tls::{Encrypted, Handshakes};

/// Makes TLS of a connection, unless that fails or takes too long, or `ending` changes meanwhile.
pub(super) async fn encrypt(
    handshakes: &Handshakes,
    stream: TcpStream,
    peer: IpAddr,
    mut ending: watch::Receiver<()>,
) -> Option<Encrypted> {
    let ended = async {
        let _anyway = ending.changed().await;
        time::sleep(LAST_CALL).await;
    };
    tokio::select! {
        encrypted = handshakes.accept(stream, peer) => encrypted
            .inspect_err(|error| tracing::debug!(%error, "TLS handshake failed"))
            .ok(),
        () = ended => None,
    }
}

/// Serves one connection until it ends, has been quiet for too long, or `ending` changes; what is in
/// hand then is finished, unless the other end of `ending` is gone before that.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    tls: Option<TlsInfo>,
    app: Router,
    bounds: Bounds,
    mut ending: watch::Receiver<()>,
) {
    let (requests, mut activity) = Requests::new();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let in_hand = requests.begin();
        request.extensions_mut().insert(PeerAddr(peer));
        if let Some(tls) = &tls {
            request.extensions_mut().insert(tls.clone());
        }
        let app = app.clone();
        async move {
            let response = app
                .oneshot(request.map(Body::new))
                .await
                .unwrap_or_else(|never| match never {});
            // In hand until the body has been sent.
            Ok::<_, Infallible>(response.map(|body| {
                body.map_err(move |error| {
                    let _still = &in_hand;
                    error
                })
            }))
        }
    });
    let builder = builder(bounds.header_timeout);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));

    // hyper's header timeout starts once it knows the HTTP version: a connection that never says so
    // much is closed here. And hyper drops a connection that is told to end before it has read
    // anything, with the request that may be on its way.
    let mut last_call = ending.clone();
    let silence = async {
        tokio::select! {
            () = time::sleep(bounds.header_timeout) => {}
            _ = last_call.changed() => time::sleep(LAST_CALL).await,
        }
    };
    tokio::select! {
        ended = &mut serving => return log(ended),
        () = activity.next() => {}
        () = silence => return,
    }
    let is_idle = tokio::select! {
        ended = &mut serving => return log(ended),
        () = activity.quiet_for(bounds.idle) => true,
        _ = ending.changed() => false,
    };
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        ended = &mut serving => log(ended),
        // The way out takes an answer on HTTP/2, and on HTTP/1.1 that what was written is read; not
        // everyone gives the one or does the other.
        () = activity.quiet_for(FAREWELL), if is_idle => {}
        () = gone(&mut ending) => {}
    }
}

async fn gone(ending: &mut watch::Receiver<()>) {
    while ending.changed().await.is_ok() {}
}

fn builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_LIST);
    builder
}

fn log(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke off");
    }
}

// PINGs find out who is gone; they say nothing about who is still wanted.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const FAREWELL: Duration = Duration::from_secs(5);
const LAST_CALL: Duration = Duration::from_secs(1);
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEAD_LIST: u32 = 64 * 1024;
const MAX_STREAMS: u32 = 128;
