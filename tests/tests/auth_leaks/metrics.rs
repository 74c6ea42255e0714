//! What the `metrics` facade is told.

use std::time::Duration;

use futures_util::FutureExt;
use tower_plugin_auth::{
    ManualClock, MemoryStore, NewToken, Principal, SystemRng, Tokens,
    store::CachedStore,
    token::{KeyRing, TokenKind},
};
use tower_plugin_tests::told::Told;

#[test]
fn what_becomes_of_tokens_is_counted_in_a_few_words() {
    let told = Told::default();
    metrics::with_local_recorder(&told, || {
        let done = live_and_die().now_or_never();
        done.expect("the memory store answers at once");
    });
    let figures = told.lines("tower_plugin_auth_");
    let expected = [
        "checks_total outcome=accepted 2",
        "checks_total outcome=expired 1",
        "checks_total outcome=malformed 1",
        "checks_total outcome=reused 1",
        "checks_total outcome=unknown 2",
        "checks_total outcome=wrong_kind 1",
        "not_issued_total operation=issue reason=full 1",
        "not_issued_total operation=rotate reason=not_live 1",
        "revoked_total by=id 1",
        "tokens_total event=consumed kind=one_time 1",
        "tokens_total event=issued kind=one_time 1",
        "tokens_total event=issued kind=runtime 2",
        "tokens_total event=reused kind=runtime 1",
        "tokens_total event=rotated kind=runtime 1",
    ];
    assert_eq!(figures, expected);
}

async fn live_and_die() {
    let clock = ManualClock::new();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let tokens = Tokens::builder(MemoryStore::new(3).unwrap(), keys)
        .with_clock(clock.clone())
        .with_reuse_revoking_family(false)
        .build()
        .unwrap();
    let new = |kind| NewToken::for_principal(kind, Principal::new("plugin", "cache"));
    let check = async |text: &str| {
        let verified = tokens.verify(TokenKind::Runtime, text.as_bytes()).await;
        verified.is_ok()
    };

    let once = tokens.issue(new(TokenKind::OneTime)).await.unwrap();
    let once = once.token().expose().as_bytes();
    assert!(tokens.consume(once).await.is_ok());
    assert!(tokens.consume(once).await.is_err());

    let first = tokens.issue(new(TokenKind::Runtime)).await.unwrap();
    let second = tokens.rotate(&first.token().id()).await.unwrap();
    let other = tokens.issue(new(TokenKind::Runtime)).await.unwrap();
    assert!(tokens.issue(new(TokenKind::Grant)).await.is_err());
    clock.advance(Duration::from_secs(60));
    assert!(!check(first.token().expose()).await, "reused");
    assert!(check(second.token().expose()).await);
    assert!(!check("hunter2").await);
    let wrong = other.token().expose().as_bytes();
    assert!(tokens.verify(TokenKind::Grant, wrong).await.is_err());

    assert!(tokens.revoke(&other.token().id()).await.unwrap());
    assert!(!check(other.token().expose()).await);
    assert!(tokens.rotate(&other.token().id()).await.is_err());
    clock.advance(Duration::from_secs(24 * 3600));
    assert!(!check(second.token().expose()).await, "expired");
}

/// What operators raise an alarm by.
#[test]
fn the_lag_is_the_age_of_the_last_good_news_and_never_above_the_bound() {
    let clock = ManualClock::new();
    let store = CachedStore::builder()
        .with_revocation_bound(Duration::from_secs(2))
        .with_degraded_age(Duration::from_millis(300))
        .with_clock(clock.clone())
        .build(MemoryStore::new(1).unwrap())
        .unwrap();
    let lag = || {
        (
            store.stats().is_live,
            store.stats().revocation_lag.as_millis(),
        )
    };
    assert_eq!(lag(), (false, 300), "nobody has said anything yet");

    let news = store.invalidator();
    news.confirm(news.now());
    assert_eq!(lag(), (true, 0));
    clock.advance(Duration::from_millis(1999));
    assert_eq!(lag(), (true, 1999));
    clock.advance(Duration::from_millis(1));
    assert_eq!(lag(), (false, 300));
    news.confirm(news.now());
    news.lost();
    assert_eq!(lag(), (false, 300));

    let told = Told::default();
    metrics::with_local_recorder(&told, || store.stats().record("a"));
    let told = told.all();
    for expected in [
        ("tower_plugin_auth_cache_live store=a", 0.0),
        ("tower_plugin_auth_cache_flushes_total store=a", 1.0),
        ("tower_plugin_auth_revocation_bound_seconds store=a", 2.0),
        ("tower_plugin_auth_revocation_lag_seconds store=a", 0.3),
    ] {
        let (name, value) = expected;
        assert!(told.contains(&(name.to_owned(), value)), "{told:?}");
    }
}
