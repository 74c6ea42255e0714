use std::time::{Duration, UNIX_EPOCH};

use tower_plugin_core::Principal;

use super::*;
use crate::{
    grant::{LinkId, MintedGrant, mint},
    random::SystemRng,
    token::KeyRing,
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn minted() -> MintedGrant {
    mint(&KeyRing::random(&SystemRng).unwrap(), &SystemRng).unwrap()
}

fn record(owner: &str, expires_at: SystemTime) -> GrantRecord {
    let owner = Principal::new("runtime", owner.to_owned());
    GrantRecord::new(&minted(), owner, "logger", at(0), expires_at)
}

fn is_known(store: &MemoryGrantStore, id: &TokenId) -> bool {
    store.with(id, |_| ()).is_some()
}

#[test]
fn nobody_s_grants_fill_the_store_for_others() {
    let store = MemoryGrantStore::new(10).unwrap();
    for _ in 0..3 {
        store.insert_now(record("a", at(60)), 3, at(0)).unwrap();
    }
    let fourth = store.insert_now(record("a", at(60)), 3, at(59));
    assert!(matches!(fourth, Err(InsertGrantError::FullForPrincipal)));
    store.insert_now(record("b", at(60)), 3, at(59)).unwrap();

    // Expired ones are in nobody's way.
    store.insert_now(record("a", at(120)), 3, at(60)).unwrap();
    assert_eq!(
        store.len(),
        2,
        "the dead of others stay until there is no room"
    );
}

#[test]
fn a_full_store_drops_the_expired_and_never_a_live_grant() {
    let store = MemoryGrantStore::new(3).unwrap();
    let live = record("a", at(120));
    let id = live.id();
    store.insert_now(live, 9, at(0)).unwrap();
    for owner in ["b", "c"] {
        store.insert_now(record(owner, at(60)), 9, at(0)).unwrap();
    }
    let full = store.insert_now(record("d", at(60)), 9, at(59));
    assert!(matches!(full, Err(InsertGrantError::Full)));
    store.insert_now(record("d", at(120)), 9, at(60)).unwrap();
    assert!(is_known(&store, &id));
    assert_eq!(store.len(), 2);
    assert_eq!(
        store.book.lock().of_owners.len(),
        2,
        "nothing is kept of who has gone"
    );
}

#[test]
fn an_id_is_taken_once() {
    let store = MemoryGrantStore::new(3).unwrap();
    let first = record("a", at(60));
    store.insert_now(first.clone(), 9, at(0)).unwrap();
    let again = store.insert_now(first, 9, at(0));
    assert!(matches!(again, Err(InsertGrantError::AlreadyExists)));
    assert_eq!(store.len(), 1);
}

#[test]
fn more_links_than_are_counted_are_not_let_in() {
    let store = MemoryGrantStore::new(1).unwrap();
    let kept = record("a", at(60));
    let id = kept.id();
    store.insert_now(kept, 9, at(0)).unwrap();
    let link = |byte| LinkId::from_bytes([byte; 16]);
    let count = |byte| {
        let uses = Uses::new(None, vec![(link(byte), 2.try_into().unwrap())]);
        store.count_now(&id, &uses)
    };
    let most = u8::try_from(crate::store::MAX_LINKS).unwrap();
    for byte in 0..most {
        assert_eq!(count(byte), Counted::Used { left: Some(1) });
    }
    assert_eq!(count(most), Counted::UsedUp, "memory is bounded");
    let used_up = Counted::Used { left: Some(0) };
    assert_eq!(count(0), used_up, "those that are counted go on");
    assert_eq!(count(0), Counted::UsedUp);
}

#[test]
fn what_is_left_is_what_the_smallest_limit_leaves() {
    let store = MemoryGrantStore::new(1).unwrap();
    let kept = record("a", at(60));
    let id = kept.id();
    store.insert_now(kept, 9, at(0)).unwrap();
    let count = |of_grant: Option<u32>, of_links: &[(u8, u32)]| {
        let of_grant = of_grant.map(|limit| limit.try_into().unwrap());
        let of_links = of_links.iter().map(|(byte, limit)| {
            let link = LinkId::from_bytes([*byte; 16]);
            (link, (*limit).try_into().unwrap())
        });
        store.count_now(&id, &Uses::new(of_grant, of_links.collect()))
    };
    let used = |left| Counted::Used { left };
    assert_eq!(count(None, &[]), used(None));
    // Whatever was counted counts, also before there was a limit.
    assert_eq!(count(Some(9), &[]), used(Some(7)));
    assert_eq!(count(Some(9), &[(1, 3), (2, 2)]), used(Some(1)));
    assert_eq!(count(Some(9), &[(1, 2), (2, 9)]), used(Some(0)));
    assert_eq!(count(Some(9), &[(1, 2)]), Counted::UsedUp);
    assert_eq!(count(Some(u32::MAX), &[]), used(Some(u32::MAX - 5)));
}

#[test]
fn a_grant_of_which_too_many_links_are_revoked_is_revoked() {
    let store = MemoryGrantStore::new(1).unwrap();
    let kept = record("a", at(60));
    let grant = kept.id();
    store.insert_now(kept, 9, at(0)).unwrap();
    let revoke = |byte| {
        let link = LinkId::from_bytes([byte; 16]);
        store.revoke_now(GrantRevocation::Link { grant, link })
    };
    let most = u8::try_from(crate::store::MAX_LINKS).unwrap();
    for byte in (0..most).chain(0..most) {
        assert_eq!(revoke(byte), 1);
    }
    assert!(is_known(&store, &grant));
    assert_eq!(revoke(most), 1);
    assert!(!is_known(&store, &grant));
    assert_eq!(revoke(most), 0);
    assert!(store.is_empty());
}
