//! All layers on a server that only says hello, under load over loopback: against the server without
//! them, and against tower_governor with tower-http's check of one bearer token.
//!
//! The figure is the processor time of the server's one thread for each request, the kernel's share
//! included: what its throughput comes to as soon as that thread is busy. On the clock on the wall, whoever is
//! slower than the client would look like the client. Server and client have a processor each, where there
//! are two.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use governor::middleware::NoOpMiddleware;
use tonic::transport::{Server as Tonic, server::TcpIncoming};
use tower::ServiceBuilder;
use tower_governor::{
    GovernorLayer,
    governor::GovernorConfigBuilder,
    key_extractor::{GlobalKeyExtractor, KeyExtractor, PeerIpKeyExtractor},
};
#[expect(deprecated, reason = "too basic, as it says, and what there is")]
use tower_http::auth::require_authorization::Bearer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_plugin_auth::{MemoryStore, Tokens};

use self::{client::Client, server::Server};
use crate::{
    runner::{Against, Case, Contender, Contest},
    stack::{self, Limits},
};

mod client;
mod handshake;
mod server;

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    vec![
        versus("stack-axum", "bare axum", 0.95, || Contest {
            ours: axum(Guard::Ours),
            peer: axum(Guard::None),
            baseline: None,
        }),
        versus("stack-axum-governor", "governor, bearer", 1.0, || Contest {
            ours: axum(Guard::Ours),
            peer: axum(Guard::Peer),
            baseline: None,
        }),
        versus("stack-tonic", "bare tonic", 0.95, || Contest {
            ours: tonic(Guard::Ours),
            peer: tonic(Guard::None),
            baseline: None,
        }),
        versus("stack-tonic-governor", "governor, bearer", 1.0, || {
            Contest {
                ours: tonic(Guard::Ours),
                peer: tonic(Guard::Peer),
                baseline: None,
            }
        }),
        handshake::case(),
    ]
}

/// What stands in front of the service.
#[derive(Clone, Copy)]
enum Guard {
    None,
    Ours,
    Peer,
}

fn axum(guard: Guard) -> Contender {
    let server = Server::start(move |listener, send| async move {
        let (tokens, token) = token().await;
        let app = match guard {
            Guard::None => stack::bare_axum(),
            Guard::Ours => stack::guarded_axum(&tokens, Limits::plenty()),
            Guard::Peer => stack::bare_axum()
                .layer(bearer(&token))
                .layer(governor(PeerIpKeyExtractor)),
        };
        // Nobody waits for it any more where this fails.
        let _ = send.send(token);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).await.expect("a server");
    });
    let client = Client::http1(server.address(), server.token());
    Contender::paced(move |iterations| server.time(|| client.load(iterations)))
}

fn tonic(guard: Guard) -> Contender {
    let server = Server::start(move |listener, send| async move {
        let (tokens, token) = token().await;
        let (_, health) = tonic_health::server::health_reporter();
        // Nobody waits for it any more where this fails.
        let _ = send.send(token.clone());
        let served = match guard {
            Guard::None => {
                let server = Tonic::builder().add_service(health);
                server
                    .serve_with_incoming(TcpIncoming::from(listener))
                    .await
            }
            Guard::Ours => stack::serve_guarded_tonic(listener, &tokens, Limits::plenty()).await,
            Guard::Peer => {
                // It does not see tonic's peer: one quota for all, which is the cheapest it has.
                let layers = ServiceBuilder::new()
                    .layer(governor(GlobalKeyExtractor))
                    .layer(bearer(&token));
                let server = Tonic::builder().layer(layers).add_service(health);
                server
                    .serve_with_incoming(TcpIncoming::from(listener))
                    .await
            }
        };
        served.expect("a server");
    });
    let client = Client::grpc(server.address(), server.token());
    Contender::paced(move |iterations| server.time(|| client.load(iterations)))
}

async fn token() -> (Tokens<MemoryStore>, String) {
    let (tokens, mut texts) = stack::issue(1).await.expect("a store with room");
    (tokens, texts.pop().expect("one was issued"))
}

fn governor<K: KeyExtractor, B>(key: K) -> GovernorLayer<K, NoOpMiddleware, B> {
    let mut config = GovernorConfigBuilder::default().key_extractor(key);
    let config = config.period(Duration::from_nanos(1)).burst_size(1 << 30);
    GovernorLayer::new(Arc::new(config.finish().expect("a valid configuration")))
}

#[expect(deprecated, reason = "too basic, as it says, and what there is")]
fn bearer<B: Default>(token: &str) -> ValidateRequestHeaderLayer<Bearer<B>> {
    ValidateRequestHeaderLayer::bearer(token)
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// Keeps this thread on a processor. Where the system does not say which there are, its scheduler decides.
fn pin(processor: usize) {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(processor) = processors.get(processor) {
        core_affinity::set_for_current(*processor);
    }
}
