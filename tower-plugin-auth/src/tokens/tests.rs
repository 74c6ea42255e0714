use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_plugin_core::ManualClock;

use super::*;
use crate::{
    random::SystemRng,
    store::MemoryStore,
    token::{RngError, SelfId},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NANO: Duration = Duration::from_nanos(1);

fn builder(capacity: usize, clock: &ManualClock) -> TokensBuilder<MemoryStore> {
    let keys = KeyRing::random(&SystemRng).unwrap();
    Tokens::builder(MemoryStore::new(capacity).unwrap(), keys).with_clock(clock.clone())
}

fn name() -> SelfId {
    "Cache-Plugin".parse().unwrap()
}

async fn issue(tokens: &Tokens<MemoryStore>) -> Issued {
    tokens.issue(NewToken::runtime(&name())).await.unwrap()
}

fn verify(tokens: &Tokens<MemoryStore>, text: &str) -> Result<Verified, Option<InvalidReason>> {
    match tokens.verify(TokenKind::Runtime, text.as_bytes()) {
        Answer::Ready(verified) => verified.map_err(|error| error.reason()),
        Answer::Pending(_) => panic!("the memory store answers at once"),
    }
}

#[tokio::test]
async fn a_runtime_token_lives_24_hours_and_not_a_nanosecond_longer() {
    let clock = ManualClock::new();
    let tokens = builder(10, &clock).build().unwrap();
    let issued = issue(&tokens).await;
    assert_eq!(issued.expires_at(), clock.wall() + DAY);

    clock.advance(DAY - NANO);
    let verified = verify(&tokens, issued.token().expose()).unwrap();
    assert_eq!(verified.principal(), issued.principal());
    assert_eq!(tokens.store().len_live(clock.wall()), 1);

    clock.advance(NANO);
    assert_eq!(
        verify(&tokens, issued.token().expose()).unwrap_err(),
        Some(InvalidReason::Expired)
    );
    assert_eq!(tokens.store().len_live(clock.wall()), 0);
}

#[tokio::test]
async fn a_custom_lifetime_is_the_one_tokens_get() {
    let clock = ManualClock::new();
    let ttl = Duration::from_millis(100);
    let tokens = builder(10, &clock)
        .with_insecure_min_ttl(ttl)
        .with_runtime_ttl(ttl)
        .build()
        .unwrap();
    let issued = issue(&tokens).await;
    assert!(verify(&tokens, issued.token().expose()).is_ok());
    clock.advance(ttl);
    assert!(verify(&tokens, issued.token().expose()).is_err());
}

#[tokio::test]
async fn a_lifetime_asked_for_has_the_same_bounds() {
    let clock = ManualClock::new();
    let tokens = builder(10, &clock).build().unwrap();
    let minute = Duration::from_secs(60);
    for (ttl, issued) in [
        (Duration::ZERO, false),
        (minute - NANO, false),
        (minute, true),
        (DAY * 3650, true),
        (DAY * 3650 + NANO, false),
        (Duration::MAX, false),
    ] {
        let new = NewToken::runtime(&name()).with_ttl(ttl);
        assert_eq!(tokens.issue(new).await.is_ok(), issued, "{ttl:?}");
    }
    assert_eq!(tokens.store().len_live(clock.wall()), 2);
}

#[test]
fn unreasonable_settings_are_refused_when_built() {
    type Setting = fn(TokensBuilder<MemoryStore>) -> TokensBuilder<MemoryStore>;
    struct Case {
        setting: Setting,
        error: &'static str,
    }
    const fn case(setting: Setting, error: &'static str) -> Case {
        Case { setting, error }
    }
    const FLOORED: &str = "must be between the floor of 1 minute and 10 years";
    for Case { setting, error } in [
        case(|b| b.with_runtime_ttl(Duration::ZERO), "runtime_ttl"),
        case(
            |b| b.with_runtime_ttl(Duration::from_secs(59)),
            "runtime_ttl",
        ),
        case(|b| b.with_runtime_ttl(DAY * 3651), "runtime_ttl"),
        case(|b| b.with_runtime_ttl(Duration::MAX), "runtime_ttl"),
        case(|b| b.with_grant_ttl(Duration::from_secs(59)), "grant_ttl"),
        case(|b| b.with_one_time_ttl(Duration::MAX), "one_time_ttl"),
    ] {
        let error_text = setting(builder(1, &ManualClock::new()))
            .build()
            .unwrap_err()
            .to_string();
        assert_eq!(error_text, format!("{error} {FLOORED}"));
    }

    for floor in [Duration::ZERO, Duration::from_secs(61)] {
        let error = builder(1, &ManualClock::new())
            .with_insecure_min_ttl(floor)
            .build()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "min_ttl must be above 0 and at most 1 minute"
        );
    }
    let below = builder(1, &ManualClock::new())
        .with_insecure_min_ttl(Duration::from_secs(2))
        .with_runtime_ttl(Duration::from_secs(1))
        .build()
        .unwrap_err();
    assert_eq!(
        (below.field(), below.allowed()),
        ("runtime_ttl", "between min_ttl and 10 years")
    );
}

#[tokio::test]
async fn what_is_told_of_the_owner_comes_back_with_the_token() {
    let tokens = builder(10, &ManualClock::new()).build().unwrap();
    let new = NewToken::runtime(&name()).with_attribute("version", "1.2.0");
    let issued = tokens.issue(new).await.unwrap();
    let verified = verify(&tokens, issued.token().expose()).unwrap();

    let principal = verified.principal();
    let id = issued.token().id().to_string();
    assert_eq!(principal.kind(), "runtime");
    assert_eq!(principal.subject(), format!("cache-plugin-{id}"));
    assert_eq!(principal.token_id(), Some(id.as_str()));
    assert_eq!(principal.attribute("self_id"), Some("cache-plugin"));
    assert_eq!(principal.attribute("version"), Some("1.2.0"));
}

#[tokio::test]
async fn a_revoked_token_is_unknown_from_then_on() {
    let tokens = builder(10, &ManualClock::new()).build().unwrap();
    let (revoked, other) = (issue(&tokens).await, issue(&tokens).await);

    assert!(tokens.revoke(&revoked.token().id()).await.unwrap());
    assert!(!tokens.revoke(&revoked.token().id()).await.unwrap());
    assert_eq!(
        verify(&tokens, revoked.token().expose()).unwrap_err(),
        Some(InvalidReason::Unknown)
    );
    assert!(verify(&tokens, other.token().expose()).is_ok());
}

#[tokio::test]
async fn a_token_is_good_for_its_kind_alone() {
    let tokens = builder(10, &ManualClock::new()).build().unwrap();
    let owner = Principal::new("runtime", "cache");
    let grant = tokens
        .issue(NewToken::for_principal(TokenKind::Grant, owner))
        .await
        .unwrap();
    assert_eq!(
        verify(&tokens, grant.token().expose()).unwrap_err(),
        Some(InvalidReason::WrongKind)
    );
    let text = grant.token().expose().as_bytes();
    assert!(tokens.verify(TokenKind::Grant, text).await.is_ok());
}

#[tokio::test]
async fn every_invalid_token_has_the_same_public_text() {
    let clock = ManualClock::new();
    let tokens = builder(10, &clock).build().unwrap();
    let elsewhere = builder(10, &clock).build().unwrap();
    let expired = issue(&tokens).await;
    let unknown = issue(&elsewhere).await;
    clock.advance(DAY);

    for text in [
        "",
        "garbage",
        expired.token().expose(),
        unknown.token().expose(),
    ] {
        let error = tokens
            .verify(TokenKind::Runtime, text.as_bytes())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "invalid token");
    }
}

/// Fails when told to.
struct Flaky(Arc<AtomicBool>);

impl Rng for Flaky {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        if self.0.load(Ordering::Relaxed) {
            // Partly filled, as a broken source may leave it.
            buffer[..16].fill(1);
            return Err(RngError::new("out of entropy"));
        }
        SystemRng.fill(buffer)
    }
}

#[tokio::test]
async fn without_randomness_nothing_is_issued_and_nothing_kept() {
    let clock = ManualClock::new();
    let broken = Arc::new(AtomicBool::new(true));
    let tokens = builder(10, &clock)
        .with_rng(Flaky(Arc::clone(&broken)))
        .build()
        .unwrap();

    let error = tokens.issue(NewToken::runtime(&name())).await.unwrap_err();
    assert!(matches!(error, IssueError::Rng(_)));
    assert_eq!(error.to_string(), "randomness is unavailable");
    assert_eq!(tokens.store().len_live(clock.wall()), 0);
    assert!(KeyRing::random(&Flaky(Arc::clone(&broken))).is_err());

    broken.store(false, Ordering::Relaxed);
    assert!(tokens.issue(NewToken::runtime(&name())).await.is_ok());
}

/// Always the same bytes.
struct Stuck;

impl Rng for Stuck {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        buffer.fill(7);
        Ok(())
    }
}

/// F01: the reference overwrote the token of whoever had the same runtime id, and ids had 16 bits.
#[tokio::test]
async fn f01_a_repeated_id_takes_over_nothing() {
    let clock = ManualClock::new();
    let tokens = builder(10, &clock).with_rng(Stuck).build().unwrap();
    let victim = issue(&tokens).await;

    let error = tokens.issue(NewToken::runtime(&name())).await.unwrap_err();
    assert!(matches!(error, IssueError::AlreadyExists));
    let verified = verify(&tokens, victim.token().expose()).unwrap();
    assert_eq!(verified.principal(), victim.principal());
}

/// F01: 18,129 handshakes were enough to get another plugin's id.
#[tokio::test]
async fn f01_a_hundred_thousand_issues_never_repeat_a_runtime_id() {
    const ISSUES: usize = 100_000;
    let tokens = builder(ISSUES + 1, &ManualClock::new()).build().unwrap();
    let victim = issue(&tokens).await;

    let mut seen = HashSet::with_capacity(ISSUES);
    for _ in 0..ISSUES {
        let issued = issue(&tokens).await;
        let runtime_id = issued.principal().subject();
        assert_ne!(runtime_id, victim.principal().subject());
        assert!(seen.insert(runtime_id.to_owned()), "{runtime_id}");
    }
    let verified = verify(&tokens, victim.token().expose()).unwrap();
    assert_eq!(verified.principal(), victim.principal());
}

/// F09: the reference kept tokens in clear and logged their first eight characters.
#[tokio::test]
async fn f09_no_secret_is_kept_or_shown() {
    let tokens = builder(10, &ManualClock::new()).build().unwrap();
    let issued = issue(&tokens).await;
    let text = issued.token().expose();
    let verified = verify(&tokens, text).unwrap();

    let body = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        &text["tpr_".len()..],
    )
    .unwrap();
    let secret = &body[16..48];
    assert_ne!(verified.record().verifier().as_bytes(), secret);

    let in_decimal = format!("{secret:?}");
    for shown in [
        format!("{tokens:?}"),
        format!("{issued:?}"),
        format!("{verified:?}"),
        format!("{:?}", tokens.verify(TokenKind::Runtime, text.as_bytes())),
    ] {
        // After the prefix and the 21 digits that hold nothing but the id.
        assert!(!shown.contains(&text[26..36]), "{shown}");
        assert!(!shown.contains(&in_decimal[1..20]), "{shown}");
    }
}

/// F10: the reference's map of tokens was unbounded.
#[tokio::test]
async fn f10_a_full_store_issues_nothing_until_something_expires() {
    let clock = ManualClock::new();
    let tokens = builder(2, &clock).build().unwrap();
    let first = issue(&tokens).await;
    issue(&tokens).await;

    let error = tokens.issue(NewToken::runtime(&name())).await.unwrap_err();
    assert!(matches!(error, IssueError::Full));
    assert!(verify(&tokens, first.token().expose()).is_ok());

    clock.advance(DAY);
    issue(&tokens).await;
    assert_eq!(tokens.store().len_live(clock.wall()), 1);
}

#[tokio::test]
async fn tokens_checked_while_they_expire_are_valid_before_and_never_after() {
    let clock = ManualClock::new();
    let tokens = builder(100, &clock).build().unwrap();
    let mut issued = Vec::new();
    for _ in 0..50 {
        issued.push(issue(&tokens).await);
    }
    let expires_at = issued[0].expires_at();

    thread::scope(|scope| {
        for token in &issued {
            let (tokens, clock) = (&tokens, &clock);
            scope.spawn(move || {
                for _ in 0..10 {
                    let before = clock.wall();
                    let valid = verify(tokens, token.token().expose()).is_ok();
                    let after = clock.wall();
                    assert!(valid || after >= expires_at, "refused while live");
                    assert!(!valid || before < expires_at, "accepted when expired");
                }
            });
        }
        clock.advance(DAY);
    });
    assert_eq!(tokens.store().len_live(clock.wall()), 0);
}

#[tokio::test]
async fn a_clock_at_the_end_of_time_issues_nothing() {
    struct EndOfTime;
    impl Clock for EndOfTime {
        fn monotonic_nanos(&self) -> u64 {
            u64::MAX
        }
        fn wall(&self) -> SystemTime {
            let (mut end, mut step) = (UNIX_EPOCH, Duration::from_secs(1 << 62));
            while !step.is_zero() {
                match end.checked_add(step) {
                    Some(later) => end = later,
                    None => step /= 2,
                }
            }
            end
        }
    }
    let tokens = builder(10, &ManualClock::new())
        .with_clock(EndOfTime)
        .build()
        .unwrap();
    let error = tokens.issue(NewToken::runtime(&name())).await.unwrap_err();
    assert!(matches!(error, IssueError::InvalidTtl));
}
