//! A plugin's handshake, without the wire: the layers in front of it, and a token for who comes out
//! behind them, as `plugin-host` makes them.

use std::{
    cell::RefCell,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use http::{Request, Response, StatusCode};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_auth::{
    MemoryStore, NewToken, SystemRng, Tokens,
    token::{KeyRing, SelfId},
};
use tower_plugin_ratelimit::{ClientIp, Quota, RateLimitLayer};
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer};

use super::runtime;
use crate::runner::{Against, Case, Contender, now};

/// A plugin shakes hands once in its life: 10 us is a hundred thousand plugins a second.
pub(super) fn case() -> Case {
    Case {
        id: "handshake-with-security",
        unit: "ns",
        against: Against::Limit {
            at_most: 10_000.0,
            ours: handshakes,
        },
    }
}

fn handshakes() -> Contender {
    let keys = KeyRing::random(&SystemRng).expect("randomness");
    let store = MemoryStore::new(BATCH as usize).expect("a capacity in range");
    let tokens = Tokens::builder(store, keys)
        .build()
        .expect("valid settings");
    let plenty: Quota = "1000000000/s".parse().expect("a quota");
    let name: SelfId = "cache-plugin".parse().expect("a name");
    let issuer = tokens.clone();
    let ids = Rc::new(RefCell::new(Vec::with_capacity(BATCH as usize)));
    let issued_ids = Rc::clone(&ids);
    let mut service = ServiceBuilder::new()
        .layer(SanitizeErrorsLayer::new())
        .layer(ValidateLayer::plugin())
        // Of everything, and of the handshake.
        .layer(RateLimitLayer::new(plenty, ClientIp::peer()))
        .layer(RateLimitLayer::new(plenty, ClientIp::peer()))
        .service(service_fn(move |_: Request<Body>| {
            let (tokens, name) = (issuer.clone(), name.clone());
            let ids = Rc::clone(&issued_ids);
            async move {
                let issued = tokens.issue(NewToken::runtime(&name)).await;
                let issued = issued.expect("a store with room");
                ids.borrow_mut().push(issued.token().id());
                let answer = issued.token().expose().to_owned();
                Ok::<_, Infallible>(Response::new(Body::from(answer)))
            }
        }));
    let runtime = runtime();
    Contender::paced(move |iterations| {
        let mut took = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let batch = left.min(BATCH);
            left -= batch;
            let requests: Vec<_> = (0..batch).map(request).collect();
            took += runtime.block_on(async {
                let start = now();
                for request in requests {
                    let ready = service.ready().await.expect("no failure");
                    let response = ready.call(request).await.expect("no failure");
                    assert_eq!(response.status(), StatusCode::OK);
                }
                start.elapsed()
            });
            // The store stays as full as it was.
            for id in ids.borrow_mut().drain(..) {
                let revoked = runtime.block_on(tokens.revoke(&id));
                assert!(revoked.expect("a store in memory"));
            }
        }
        took
    })
}

fn request(client: u64) -> Request<Body> {
    let mut request = Request::post("/connectplugin.v1.HandshakeService/Handshake");
    for (name, value) in [
        ("accept-encoding", "gzip"),
        ("connect-protocol-version", "1"),
        ("content-length", "0"),
        ("content-type", "application/proto"),
        ("host", "localhost"),
        ("user-agent", "connect-go/1.19.1 (go1.25.1)"),
    ] {
        request = request.header(name, value);
    }
    let ip = Ipv4Addr::from_bits(0x0a00_0000 + client as u32);
    let peer = ConnectInfo(SocketAddr::from((ip, 40_000)));
    let request = request.extension(peer).body(Body::empty());
    request.expect("a request")
}

const BATCH: u64 = 64;
