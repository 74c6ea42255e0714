//! Paths in every spelling, and a service of tonic's that tells which it was called by.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use proptest::prelude::*;
use tonic::{body::Body, server::NamedService};
use tower::Service;

/// Paths made of the pieces of a few routes, spelled in every way.
pub fn spelled() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/a",
        "/%61",
        "/users",
        "/%75sers",
        "/files",
        "/",
        "/b.c",
        "/b%2ec",
        "/1",
        "/%31",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/x%20y",
        "/%40",
        "/@",
        "/%2F",
        "/..",
        "/%2e%2e",
        ";x",
        "//",
        "/a%2Fb",
        "%25",
        "/%252e",
    ]);
    prop::collection::vec(pieces, 1..5).prop_map(|pieces| pieces.concat())
}

/// A service that says which path it was called by, in the header `x-reached`.
#[derive(Clone, Debug)]
pub struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "a.B";
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        let path = request.uri().path().parse().unwrap();
        response.headers_mut().insert("x-reached", path);
        ready(Ok(response))
    }
}
