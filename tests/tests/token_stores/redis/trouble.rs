//! A server that is slow, dead or back again: nobody knows is not nobody may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, Issued, NewToken, RotateError, SystemClock, SystemRng,
    TokenStore, Tokens, VerifyError,
    store::{CachedStore, RedisStore, Revocation},
    token::{KeyRing, Pepper, TokenKind},
};
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::{APPEND_ONLY, RedisServer},
};

use super::news::{BOUND, until};
use crate::support::{family, found, id, minute, revocations, successor};

fn quick(url: &str) -> RedisStore {
    RedisStore::builder(url)
        .with_deadline(Duration::from_millis(250))
        .with_connect_timeout(Duration::from_millis(250))
        .build()
        .unwrap()
}

fn tokens<S: TokenStore>(store: S) -> Tokens<S> {
    let keys = KeyRing::new(Pepper::new(1, &[7; 32]).unwrap(), []).unwrap();
    let tokens = Tokens::builder(store, keys).with_clock(SystemClock::new());
    tokens.with_rng(SystemRng).build().unwrap()
}

async fn issue<S: TokenStore>(tokens: &Tokens<S>) -> Issued {
    let new = NewToken::runtime(&"plugin".parse().unwrap());
    tokens.issue(new).await.unwrap()
}

/// What a layer in front of a service answers.
async fn status<S: TokenStore>(tokens: &Tokens<S>, header: &HeaderValue) -> StatusCode {
    let service = AuthLayer::new(BearerAuthenticator::new(tokens.clone())).layer(service_fn(
        async |_: Request<String>| Ok::<_, std::io::Error>(Response::new(String::new())),
    ));
    let request = Request::builder().header(AUTHORIZATION, header);
    let response = service
        .oneshot(request.body(String::new()).unwrap())
        .await
        .unwrap();
    if response.status() == 503 {
        assert!(response.headers().contains_key("retry-after"));
        assert!(!response.headers().contains_key("www-authenticate"));
    }
    response.status()
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let server = RedisServer::start().await;
    let tokens = tokens(quick(&server.url()));
    let issued = issue(&tokens).await;
    let header = issued.token().header_value();
    assert_eq!(status(&tokens, &header).await, 200);

    server.pause().await;
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(status(&tokens, &header).await, 503);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    let rotated = tokens.rotate(&issued.token().id()).await;
    assert!(matches!(rotated, Err(RotateError::Unavailable(_))));
    assert!(tokens.revoke(&issued.token().id()).await.is_err());

    server.resume();
    until(async || status(&tokens, &header).await != 503).await;
}

/// The first connection would panic.
#[test]
fn tls_without_cryptography_is_an_error_when_built() {
    let error = RedisStore::builder("rediss://localhost")
        .build()
        .unwrap_err();
    assert_eq!(error.field(), "url");
    assert!(error.allowed().contains("provider"));
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let mut server = RedisServer::start().await;
    server.kill();
    let tokens = tokens(quick(&server.url()));
    let new = || NewToken::runtime(&"plugin".parse().unwrap());
    assert!(tokens.issue(new()).await.is_err());
    server.restart().await;
    until(async || tokens.issue(new()).await.is_ok()).await;
}

/// Two replicas and a server that is killed again and again, while requests with one valid token and
/// one that has been revoked come in all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_the_middle_lets_nobody_in_and_turns_nobody_away() {
    let mut server = RedisServer::start_with(APPEND_ONLY).await;
    let settings = CachedStore::builder().with_revocation_bound(BOUND);
    let replica = tokens(quick(&server.url()).cached(settings).unwrap());
    until(async || replica.store().is_live()).await;
    let elsewhere = tokens(quick(&server.url()));
    killed_in_the_middle(&mut server, &replica, &elsewhere, BOUND).await;
}

/// The same where nothing is remembered: a revocation counts from the moment it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cache_a_server_killed_in_the_middle_lets_nobody_in_at_all() {
    let mut server = RedisServer::start_with(APPEND_ONLY).await;
    let replica = tokens(quick(&server.url()));
    let elsewhere = tokens(quick(&server.url()));
    killed_in_the_middle(&mut server, &replica, &elsewhere, Duration::ZERO).await;
}

async fn killed_in_the_middle<S: TokenStore>(
    server: &mut RedisServer,
    replica: &Tokens<S>,
    elsewhere: &Tokens<RedisStore>,
    bound: Duration,
) {
    let valid = issue(elsewhere).await.token().header_value();
    for round in 0..4 {
        let victim = issue(elsewhere).await;
        let revoked_at = Arc::new(Mutex::new(None::<Instant>));
        let outages = Arc::new(AtomicU32::new(0));
        let watching = tokio::spawn({
            let (replica, valid) = (replica.clone(), valid.clone());
            let (revoked_at, header) = (Arc::clone(&revoked_at), victim.token().header_value());
            let outages = Arc::clone(&outages);
            async move {
                loop {
                    let (began, revoked) = (Instant::now(), *revoked_at.lock());
                    match status(&replica, &header).await.as_u16() {
                        200 => assert!(
                            revoked.is_none_or(|at| began < at + bound),
                            "a revoked token was let in"
                        ),
                        401 => assert!(revoked_at.lock().is_some(), "turned away too soon"),
                        other => assert_eq!(other, 503),
                    }
                    match status(&replica, &valid).await.as_u16() {
                        200 => {}
                        503 => {
                            outages.fetch_add(1, SeqCst);
                        }
                        other => panic!("a valid token was answered {other}"),
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(30 * round)).await;
        // Noted before it is asked for: it may be over before anybody is told.
        *revoked_at.lock() = Some(Instant::now() + Duration::from_secs(3600));
        assert!(elsewhere.revoke(&victim.token().id()).await.unwrap());
        *revoked_at.lock() = Some(Instant::now());
        server.kill();
        until(async || outages.load(SeqCst) > 0 || watching.is_finished()).await;
        server.restart().await;
        until(async || status(replica, &valid).await == 200).await;
        watching.abort();
        assert!(watching.await.is_err_and(|error| error.is_cancelled()));

        let refused = status(replica, &victim.token().header_value()).await;
        assert_eq!(refused, 401, "revoked for good");
        until(async || status(elsewhere, &valid).await == 200).await;
    }
}

/// Whether the script was run or not, a single-use token is not used twice.
#[tokio::test]
async fn a_single_use_token_is_not_used_twice_across_a_crash() {
    let mut server = RedisServer::start_with(APPEND_ONLY).await;
    let tokens = tokens(quick(&server.url()));
    let owner = tower_plugin_auth::Principal::new("session", "a");
    let mut used = 0;
    let state = tokens
        .issue(NewToken::for_principal(TokenKind::OneTime, owner))
        .await
        .unwrap();
    let text = state.token().expose().as_bytes();
    for round in 0..4 {
        if round == 1 {
            server.kill();
        }
        if round == 2 {
            server.restart().await;
            until(async || tokens.sweep().await.is_ok()).await;
        }
        match tokens.consume(text).await {
            Ok(_) => used += 1,
            Err(VerifyError::Invalid(_)) => assert_ne!(round, 1),
            Err(_) => assert_eq!(round, 1),
        }
    }
    assert_eq!(used, 1);
}

/// 1,200 tokens are three scripts. The connection breaks when Redis has done the first and not yet said so.
#[tokio::test]
async fn a_revocation_that_broke_off_in_the_middle_is_completed_by_the_next() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let lost = Faults {
        replies: Replies::Reset,
        ..Faults::default()
    };
    let ids: Vec<_> = (0..1200).map(id).collect();
    for (name, revocation) in revocations(&ids) {
        let [direct, broken] = [server.url(), proxy.url()].map(|url| {
            let builder = RedisStore::builder(&url).with_prefix(name);
            builder
                .with_deadline(Duration::from_secs(20))
                .build()
                .unwrap()
        });
        let records = family(1200);
        for record in &records {
            direct.insert(record.clone(), minute(0)).await.unwrap();
        }
        // So that the script is known, and the next answer is that of the first batch.
        let nothing = broken.revoke(Revocation::Tokens(&[id(5555)])).await;
        assert_eq!(nothing.unwrap(), 0);
        proxy.set(lost);
        assert!(broken.revoke(revocation).await.is_err(), "{name}");
        proxy.set(Faults::default());
        for number in 0..1200 {
            let is_there = found(&direct, number).await.is_some();
            assert_eq!(is_there, number >= 500, "{name}: {number}");
        }

        // What is left lives on, and what is gone has no successor.
        let [gone, left] = [&records[0], &records[1199]];
        let next = successor(left, 2000, Duration::from_secs(60));
        direct.insert(next, minute(1)).await.unwrap();
        let superseded = left.superseded(id(2000), minute(2));
        assert!(direct.update(superseded, minute(1)).await.unwrap());
        let superseded = gone.superseded(id(2001), minute(2));
        assert!(!direct.update(superseded, minute(1)).await.unwrap());

        // Ids say nothing of successors; all else covers them.
        let covered = u64::from(name != "ids");
        assert_eq!(broken.revoke(revocation).await.unwrap(), 700 + covered);
        for number in 0..1200 {
            assert!(found(&direct, number).await.is_none(), "{name}: {number}");
        }
        assert_eq!(found(&direct, 2000).await.is_some(), covered == 0, "{name}");
        assert_eq!(broken.revoke(revocation).await.unwrap(), 0, "{name}");
    }
}
