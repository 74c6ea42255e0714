//! What the tests of all stores share.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_plugin_auth::{
    ManualClock, NewToken, Principal, SystemRng, TokenStore, Tokens, TokensBuilder, VerifyError,
    store::Revocation,
    token::{InvalidReason, KeyRing, Record, Rng, RngError, TokenId, TokenKind, mint},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const NANO: Duration = Duration::from_nanos(1);

pub(crate) fn builder<S: TokenStore>(store: S, clock: &ManualClock) -> TokensBuilder<S> {
    Tokens::builder(store, KeyRing::random(&SystemRng).unwrap()).with_clock(clock.clone())
}

/// A token of somebody who has one already.
pub(crate) fn for_somebody(kind: TokenKind) -> NewToken {
    NewToken::for_principal(kind, Principal::new("plugin", "cache"))
}

/// What a check says: valid, or why not.
pub(crate) async fn state<S: TokenStore>(
    tokens: &Tokens<S>,
    kind: TokenKind,
    text: &str,
) -> Result<(), InvalidReason> {
    match tokens.verify(kind, text.as_bytes()).await {
        Ok(_) => Ok(()),
        Err(VerifyError::Invalid(reason)) => Err(reason),
        Err(error) => panic!("the store is up: {error:?}"),
    }
}

/// Minutes after a day in 2030.
pub(crate) fn minute(minutes: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000) + MINUTE * minutes
}

/// The record of a runtime token with this number as its id, from minute 0 to minute 60.
pub(crate) fn record(number: u128) -> Record {
    record_of(number, &Principal::new("plugin", "cache"))
}

pub(crate) fn record_of(number: u128, owner: &Principal) -> Record {
    record_from(number, owner, minute(0), minute(60))
}

pub(crate) fn record_from(
    number: u128,
    owner: &Principal,
    issued_at: SystemTime,
    expires_at: SystemTime,
) -> Record {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, &Numbered(number)).unwrap();
    Record::new(&minted, owner.clone(), issued_at, expires_at)
}

/// So many records of one owner, one family and one beginning, by number, each issued and each forgotten a
/// microsecond after the one before.
pub(crate) fn family(count: u32) -> Vec<Record> {
    let first = record(0);
    let next = |number| {
        let later = Duration::from_micros(number);
        successor(&first, number.into(), later)
    };
    let others: Vec<_> = (1..count.into()).map(next).collect();
    [vec![first], others].concat()
}

/// The record of a token in the family of another, issued so much after minute 0.
pub(crate) fn successor(of: &Record, number: u128, later: Duration) -> Record {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, &Numbered(number)).unwrap();
    of.next_in_family(&minted, minute(0) + later, minute(60) + later)
}

/// Every way of revoking a [`family`], these ids being its.
pub(crate) fn revocations(ids: &[TokenId]) -> [(&'static str, Revocation<'_>); 4] {
    let owner = Revocation::Subject {
        kind: "plugin",
        subject: "cache",
    };
    [
        ("ids", Revocation::Tokens(ids)),
        ("family", Revocation::Family(id(0))),
        ("owner", owner),
        ("age", Revocation::BegunBefore(minute(1))),
    ]
}

pub(crate) fn id(number: u128) -> TokenId {
    TokenId::from_bytes(number.to_be_bytes())
}

/// What a store has under this number.
pub(crate) async fn found<S: TokenStore>(store: &S, number: u128) -> Option<Arc<Record>> {
    store.get(&id(number)).await.unwrap()
}

/// Gives the next token this id.
struct Numbered(u128);

impl Rng for Numbered {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        buffer.fill(0x5A);
        buffer[..16].copy_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}
