use std::{
    sync::mpsc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use tower_plugin_core::Principal;

use super::*;
use crate::{
    random::SystemRng,
    token::{KeyRing, Rng, RngError, TokenKind, mint},
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// One whose id is this byte, sixteen times.
fn record(byte: u8, subject: &str, expires_at: SystemTime) -> Record {
    struct Fixed(u8);
    impl Rng for Fixed {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
            buffer.fill(self.0);
            Ok(())
        }
    }
    mint_record(&Fixed(byte), subject, expires_at)
}

fn mint_record(rng: &impl Rng, subject: &str, expires_at: SystemTime) -> Record {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, rng).unwrap();
    Record::new(
        &minted,
        Principal::new("runtime", subject),
        at(0),
        expires_at,
    )
}

fn fresh(expires_at: SystemTime) -> Record {
    mint_record(&SystemRng, "anyone", expires_at)
}

fn revoke(store: &MemoryStore, id: TokenId) -> bool {
    store.revoke_now(Revocation::Tokens(&[id])) == 1
}

fn subject(store: &MemoryStore, id: &TokenId) -> Option<String> {
    match store.get(id) {
        Answer::Ready(found) => found.unwrap().map(|r| r.principal().subject().to_owned()),
        Answer::Pending(_) => panic!("the memory store answers at once"),
    }
}

#[test]
fn an_id_is_taken_once_and_for_all() {
    let store = MemoryStore::new(2).unwrap();
    let id = TokenId::from_bytes([1; 16]);
    store.insert_now(record(1, "first", at(60)), at(0)).unwrap();

    for now in [at(0), at(60)] {
        assert!(matches!(
            store.insert_now(record(1, "second", at(120)), now),
            Err(InsertError::AlreadyExists)
        ));
        assert_eq!(subject(&store, &id).as_deref(), Some("first"));
    }

    // Neither attempt has used up the other place.
    store.insert_now(fresh(at(60)), at(0)).unwrap();
}

#[test]
fn a_full_store_refuses_rather_than_drop_a_live_token() {
    let store = MemoryStore::new(3).unwrap();
    let first = fresh(at(60));
    let id = first.id();
    store.insert_now(first, at(0)).unwrap();
    for _ in 0..2 {
        store.insert_now(fresh(at(60)), at(0)).unwrap();
    }

    assert!(matches!(
        store.insert_now(fresh(at(60)), at(59)),
        Err(InsertError::Full)
    ));
    assert!(subject(&store, &id).is_some());

    assert!(revoke(&store, id));
    assert!(!revoke(&store, id), "revoked twice");
    store.insert_now(fresh(at(60)), at(59)).unwrap();
    assert!(matches!(
        store.insert_now(fresh(at(60)), at(59)),
        Err(InsertError::Full)
    ));
}

/// F10: expired tokens stayed in the reference's map until someone happened to present them.
#[test]
fn f10_expired_tokens_are_neither_counted_nor_in_the_way() {
    let store = MemoryStore::new(20).unwrap();
    for _ in 0..20 {
        store.insert_now(fresh(at(60)), at(0)).unwrap();
    }
    assert_eq!(store.len_live(at(59)), 20);
    assert_eq!(store.len_live(at(60)), 0, "expired, though not yet swept");

    for _ in 0..20 {
        store.insert_now(fresh(at(120)), at(60)).unwrap();
    }
    assert_eq!(store.len_live(at(60)), 20);
    assert!(matches!(
        store.insert_now(fresh(at(120)), at(60)),
        Err(InsertError::Full)
    ));
}

#[test]
fn a_sweep_drops_the_expired_and_only_them() {
    let store = MemoryStore::new(100).unwrap();
    let mut kept = Vec::new();
    for expiry in 1..=100 {
        let record = fresh(at(expiry));
        kept.push((expiry, record.id()));
        store.insert_now(record, at(0)).unwrap();
    }
    assert_eq!(store.sweep_now(at(0)), 0);
    assert_eq!(store.sweep_now(at(40)), 40);
    assert_eq!(store.sweep_now(at(40)), 0);
    for (expiry, id) in kept {
        assert_eq!(subject(&store, &id).is_some(), expiry > 40, "{expiry}");
    }
    assert_eq!(store.sweep_now(at(1000)), 60);
    assert_eq!(store.len.load(Ordering::Relaxed), 0);
}

/// F11: the reference took its one write lock for every check.
#[test]
fn f11_looking_up_takes_no_write_lock() {
    let store = MemoryStore::new(10).unwrap();
    let record = fresh(at(60));
    let id = record.id();
    store.insert_now(record, at(0)).unwrap();

    let readers: Vec<_> = store.shards.iter().map(|shard| shard.0.read()).collect();
    thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        let store = &store;
        scope.spawn(move || done.send(subject(store, &id).is_some()));
        assert_eq!(finished.recv_timeout(Duration::from_secs(10)), Ok(true));
        drop(readers);
    });
}

#[test]
fn racing_inserts_never_exceed_the_capacity() {
    let store = MemoryStore::new(100).unwrap();
    let inserted: usize = thread::scope(|scope| {
        let racers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..100)
                        .filter(|_| store.insert_now(fresh(at(60)), at(0)).is_ok())
                        .count()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(inserted, 100);
    assert_eq!(store.len_live(at(0)), 100);
}
