//! A request through the layer, and what that adds to the check itself.

use std::{convert::Infallible, future::ready};

use axum::body::Body;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    Answer, AuthLayer, BearerAuthenticator, MemoryStore, Principal, token::TokenKind,
};

use super::Known;
use crate::{
    cases::layer::{CLIENTS, calls_of, hello, request},
    runner::{Against, Case, Contender, Contest},
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        // At most twice the time of the check.
        Case {
            id: "token-check-layer",
            unit: "ns",
            against: Against::Peer {
                name: "the check alone",
                times: 0.5,
                contest: || Contest {
                    ours: layered(),
                    peer: by_hand(),
                    baseline: Some(bare()),
                },
            },
        },
        // Beside the box in which the extensions of a request keep the principal.
        Case {
            id: "token-check-layer-allocs",
            unit: "allocs",
            against: Against::Limit {
                at_most: 0.0,
                ours: allocations,
            },
        },
    ]
}

fn layered() -> Contender {
    let known = Known::in_memory();
    let service = AuthLayer::new(BearerAuthenticator::new(known.tokens.clone())).layer(hello());
    Contender::paced(calls_of(requests(&known), service, StatusCode::OK))
}

/// The same requests, and a check without a look at them.
fn by_hand() -> Contender {
    let known = Known::in_memory();
    let (tokens, texts) = (known.tokens.clone(), known.texts.clone());
    let mut next = 0;
    let service = service_fn(move |_: Request<Body>| {
        next = (next + 1) % texts.len();
        let verified = tokens.verify(TokenKind::Runtime, texts[next].as_bytes());
        let status = match verified {
            Answer::Ready(Ok(_)) => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        ready(Ok::<_, Infallible>(response))
    });
    Contender::paced(calls_of(requests(&known), service, StatusCode::OK))
}

fn bare() -> Contender {
    let known = Known::in_memory();
    Contender::paced(calls_of(requests(&known), hello(), StatusCode::OK))
}

fn requests(known: &Known<MemoryStore>) -> impl Fn(u64) -> Request<Body> + use<> {
    let values: Vec<_> = known.texts.iter().map(|text| bearer(text)).collect();
    move |client| {
        let mut request = request(client);
        let value = values[client as usize % values.len()].clone();
        request.headers_mut().insert(AUTHORIZATION, value);
        request
    }
}

fn bearer(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("Bearer {text}")).expect("a header")
}

fn allocations() -> Contender {
    let known = Known::in_memory();
    let layer = AuthLayer::new(BearerAuthenticator::new(known.tokens.clone()));
    let mut service = layer.layer(hello());
    let make = requests(&known);
    let mut call = move |request| {
        let ready = service.ready().now_or_never().expect("no need to wait");
        let called = ready.expect("no failure").call(request).now_or_never();
        let response = called.expect("no need to wait").expect("no failure");
        assert_eq!(response.status(), StatusCode::OK);
    };
    let principal = Principal::new("runtime", "cache-plugin");
    Contender::whole(move || {
        let requests: Vec<_> = (0..CLIENTS).map(&make).collect();
        let counted = allocation_counter::measure(|| requests.into_iter().for_each(&mut call));
        let mut requests: Vec<_> = (0..CLIENTS).map(&make).collect();
        let boxes = allocation_counter::measure(|| {
            for request in &mut requests {
                request.extensions_mut().insert(principal.clone());
            }
        });
        counted.count_total.abs_diff(boxes.count_total) as f64 / CLIENTS as f64
    })
}
