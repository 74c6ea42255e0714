//! What every store must do. Each check gets an empty store of its own.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Barrier, task::JoinSet};
use tower_plugin_auth::{
    InsertError, IssueError, ManualClock, NewToken, Principal, RotateError, TokenEvent, TokenStore,
    Tokens, VerifyError,
    store::{Cursor, List, Revocation},
    token::{InvalidReason, KeyRing, Pepper, Record, TokenKind},
};
use tower_plugin_core::Clock;

use crate::support::{
    MINUTE, NANO, builder, family, for_somebody, found, id, minute, record, record_from, record_of,
    revocations, state,
};

/// Runs every check over the store that `$setup` makes; it is given a capacity, and what it returns
/// beside the store lives as long. Where `many` revocations at once take too long to prepare, it says how
/// many will do.
macro_rules! conformance {
    (@tests $setup:expr, $($check:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                let (store, _guard) = ($setup)($crate::suite::CAPACITY).await;
                $crate::suite::$check(store).await;
            }
        )+
    };
    ($name:ident, $setup:expr) => {
        $crate::suite::conformance!($name, $setup, many = 1200);
    };
    ($name:ident, $setup:expr, many = $many:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the setup may need none of them")]
            use super::*;

            $crate::suite::conformance!(@tests $setup,
                a_batch_is_revoked_whole,
                a_deadline_outlives_no_rotation,
                a_list_has_every_record_on_one_page,
                a_record_comes_back_as_it_was,
                a_revoked_record_is_not_brought_back_by_an_update,
                a_revocation_by_time_covers_whole_families,
                a_revocation_leaves_no_successor,
                a_sweep_drops_what_is_forgettable_and_only_that,
                a_token_in_use_does_not_go_idle,
                a_token_is_valid_until_exactly_its_expiry,
                an_id_is_taken_once_and_for_all,
                an_owner_loses_all_and_nobody_else_any,
                an_update_follows_the_version_before_it,
                both_tokens_are_valid_for_the_overlap,
                clocks_that_differ_disagree_for_that_long_and_no_longer,
                of_64_inserts_of_one_id_one_succeeds,
                of_64_on_one_single_use_token_one_wins,
                of_64_rotations_of_one_token_one_succeeds,
                of_64_takers_one_gets_the_record,
                of_64_updates_to_one_version_one_succeeds,
                one_time_tokens_do_not_rotate,
                reuse_takes_the_family_with_it,
                reuse_can_be_reported_alone,
            );

            #[tokio::test]
            async fn a_full_store_takes_a_token_only_for_a_dead_one() {
                let (store, _guard) = ($setup)(3).await;
                $crate::suite::a_full_store_takes_a_token_only_for_a_dead_one(store).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn a_revocation_of_many_is_complete_when_it_answers() {
                let (store, _guard) = ($setup)(2000).await;
                let store = std::sync::Arc::new(store);
                $crate::suite::a_revocation_of_many_is_complete_when_it_answers(store, $many).await;
            }
        }
    };
}
pub(crate) use conformance;

/// Enough for every check but the one that fills the store.
pub(crate) const CAPACITY: usize = 1000;

const RUNTIME: TokenKind = TokenKind::Runtime;

pub(crate) async fn a_record_comes_back_as_it_was<S: TokenStore>(store: S) {
    let owner = Principal::new("plugin", "with \"quotes\" and ünïcode")
        .with_attribute("plan", "gold")
        .with_attribute("", "");
    let plain = record_of(1, &owner);
    let full = record_of(2, &owner)
        .with_idle_timeout(MINUTE * 10)
        .with_deadline(minute(90));
    for record in [&plain, &full] {
        store.insert(record.clone(), minute(0)).await.unwrap();
    }
    let superseded = full.touched(minute(2)).superseded(id(3), minute(5));
    assert!(
        store
            .update(full.touched(minute(2)), minute(2))
            .await
            .unwrap()
    );
    assert!(store.update(superseded.clone(), minute(2)).await.unwrap());

    for (number, expected) in [(1, &plain), (2, &superseded)] {
        let kept = found(&store, number).await.unwrap();
        assert_eq!(kept.to_bytes(), expected.to_bytes());
    }
    assert!(found(&store, 3).await.is_none());
}

pub(crate) async fn an_id_is_taken_once_and_for_all<S: TokenStore>(store: S) {
    store.insert(record(1), minute(0)).await.unwrap();
    let thief = record_of(1, &Principal::new("plugin", "thief"));
    for now in [0, 59, 60, 1000] {
        let inserted = store.insert(thief.clone(), minute(now)).await;
        // What is dead may have been dropped, or is in the way.
        match inserted {
            Err(InsertError::AlreadyExists) => {}
            Ok(()) if now >= 60 => return,
            other => panic!("minute {now}: {other:?}"),
        }
        let kept = found(&store, 1).await.unwrap();
        assert_eq!(kept.principal().subject(), "cache", "minute {now}");
    }
}

pub(crate) async fn an_update_follows_the_version_before_it<S: TokenStore>(store: S) {
    let first = record(1).with_idle_timeout(MINUTE * 10);
    store.insert(first.clone(), minute(0)).await.unwrap();
    let second = first.touched(minute(1));
    let third = second.touched(minute(2));

    let update = |next: &Record| store.update(next.clone(), minute(2));
    assert!(!update(&third).await.unwrap(), "skips a version");
    assert!(!update(&first).await.unwrap(), "the same version");
    assert!(update(&second).await.unwrap());
    assert!(!update(&second).await.unwrap(), "the same version again");
    assert!(update(&third).await.unwrap());
    assert!(
        !update(&record(2).touched(minute(1))).await.unwrap(),
        "none"
    );
    assert!(found(&store, 2).await.is_none());
    assert_eq!(found(&store, 1).await.unwrap().version(), 2);
}

pub(crate) async fn of_64_updates_to_one_version_one_succeeds<S: TokenStore>(store: S) {
    let first = record(1).with_idle_timeout(MINUTE * 10);
    store.insert(first.clone(), minute(0)).await.unwrap();
    let store = Arc::new(store);
    let won = race(64, |racer| {
        let (store, next) = (Arc::clone(&store), first.touched(minute(racer)));
        async move { store.update(next, minute(racer)).await.unwrap() }
    });
    assert_eq!(won.await, 1);
}

pub(crate) async fn of_64_inserts_of_one_id_one_succeeds<S: TokenStore>(store: S) {
    let store = Arc::new(store);
    let won = race(64, |racer| {
        let store = Arc::clone(&store);
        let owner = Principal::new("plugin", racer.to_string());
        async move {
            match store.insert(record_of(1, &owner), minute(0)).await {
                Ok(()) => true,
                Err(InsertError::AlreadyExists) => false,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    assert_eq!(won.await, 1);
}

pub(crate) async fn of_64_takers_one_gets_the_record<S: TokenStore>(store: S) {
    let store = Arc::new(store);
    for round in 0..10 {
        store.insert(record(round), minute(0)).await.unwrap();
        let won = race(64, |_| {
            let store = Arc::clone(&store);
            async move { store.take(&id(round)).await.unwrap().is_some() }
        });
        assert_eq!(won.await, 1);
        assert!(found(&*store, round).await.is_none());
    }
    assert!(store.list(&List::all()).await.unwrap().is_empty());
}

pub(crate) async fn of_64_on_one_single_use_token_one_wins<S: TokenStore>(store: S) {
    let tokens = builder(Arc::new(store), &ManualClock::new())
        .build()
        .unwrap();
    for _ in 0..10 {
        let new = for_somebody(TokenKind::OneTime);
        let issued = Arc::new(tokens.issue(new).await.unwrap());
        let won = race(64, |_| {
            let (tokens, issued) = (tokens.clone(), Arc::clone(&issued));
            async move {
                let text = issued.token().expose().as_bytes();
                match tokens.consume(text).await {
                    Ok(used) => used.principal().subject() == "cache",
                    Err(VerifyError::Invalid(InvalidReason::Unknown)) => false,
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        assert_eq!(won.await, 1);
    }
}

pub(crate) async fn of_64_rotations_of_one_token_one_succeeds<S: TokenStore>(store: S) {
    let tokens = builder(Arc::new(store), &ManualClock::new())
        .build()
        .unwrap();
    let first = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let first_id = first.token().id();
    let won = race(64, |_| {
        let tokens = tokens.clone();
        async move {
            match tokens.rotate(&first_id).await {
                Ok(_) => true,
                Err(RotateError::AlreadyRotated) => false,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    assert_eq!(won.await, 1);
    let family = tokens.list(&List::of_family(first_id)).await.unwrap();
    assert_eq!(family.len(), 2, "the losers left nothing behind");
}

pub(crate) async fn a_token_is_valid_until_exactly_its_expiry<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock).build().unwrap();
    let new = for_somebody(RUNTIME).with_ttl(MINUTE);
    let issued = tokens.issue(new).await.unwrap();
    let text = issued.token().expose();

    clock.advance(MINUTE - NANO);
    assert_eq!(state(&tokens, RUNTIME, text).await, Ok(()));
    clock.advance(NANO);
    let expired = state(&tokens, RUNTIME, text).await.unwrap_err();
    assert_eq!(expired, InvalidReason::Expired);

    let one_time = for_somebody(TokenKind::OneTime).with_ttl(MINUTE);
    for (left, valid) in [(NANO, true), (Duration::ZERO, false)] {
        let issued = tokens.issue(one_time.clone()).await.unwrap();
        clock.advance(MINUTE - left);
        let used = tokens.consume(issued.token().expose().as_bytes()).await;
        assert_eq!(used.is_ok(), valid, "{left:?}");
    }
}

pub(crate) async fn a_batch_is_revoked_whole<S: TokenStore>(store: S) {
    for number in 0..200 {
        store.insert(record(number), minute(0)).await.unwrap();
    }
    // Some unknown ones among them, and one of them twice.
    let batch: Vec<_> = (100..300).chain([100]).map(id).collect();
    assert_eq!(store.revoke(Revocation::Tokens(&batch)).await.unwrap(), 100);
    assert_eq!(store.revoke(Revocation::Tokens(&batch)).await.unwrap(), 0);
    assert_eq!(store.revoke(Revocation::Tokens(&[])).await.unwrap(), 0);
    for number in 0..300 {
        let is_there = found(&store, number).await.is_some();
        assert_eq!(is_there, number < 100, "{number}");
    }
}

/// More than any store revokes in one step, while readers ask for each of them again and again.
pub(crate) async fn a_revocation_of_many_is_complete_when_it_answers<S: TokenStore>(
    store: Arc<S>,
    many: u32,
) {
    let bystander = Principal::new("plugin", "bystander");
    let bystander = record_from(7777, &bystander, minute(1), minute(60));
    store.insert(bystander, minute(0)).await.unwrap();
    let ids: Vec<_> = (0..1200).map(id).collect();
    for (name, revocation) in revocations(&ids) {
        for record in family(many) {
            store.insert(record, minute(0)).await.unwrap();
        }
        let (start, is_over) = (Arc::new(Barrier::new(4)), Arc::new(AtomicBool::new(false)));
        let mut readers = JoinSet::new();
        for _ in 0..3 {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            let is_over = Arc::clone(&is_over);
            readers.spawn(async move {
                let mut gone = BTreeSet::new();
                start.wait().await;
                while !is_over.load(SeqCst) {
                    for number in 0..many.into() {
                        match found(&*store, number).await {
                            Some(_) => assert!(!gone.contains(&number), "{number} came back"),
                            None => drop(gone.insert(number)),
                        }
                    }
                    assert!(found(&*store, 7777).await.is_some(), "nobody's business");
                    tokio::task::yield_now().await;
                }
            });
        }
        start.wait().await;
        let revoked = store.revoke(revocation).await.unwrap();
        assert_eq!(revoked, u64::from(many), "{name}");
        for number in 0..many.into() {
            assert!(found(&*store, number).await.is_none(), "{name}: {number}");
        }
        is_over.store(true, SeqCst);
        while let Some(read) = readers.join_next().await {
            read.unwrap();
        }
        assert_eq!(store.revoke(revocation).await.unwrap(), 0, "{name}");
    }
    assert!(found(&*store, 7777).await.is_some());
}

pub(crate) async fn an_owner_loses_all_and_nobody_else_any<S: TokenStore>(store: S) {
    let owners = [
        ("plugin", "a"),
        ("plugin", "b"),
        ("api-key", "a"),
        ("plugina", ""),
    ];
    for (number, (kind, subject)) in (0..).zip(owners.into_iter().cycle().take(40)) {
        let owner = Principal::new(kind, subject);
        store
            .insert(record_of(number, &owner), minute(0))
            .await
            .unwrap();
    }
    let (kind, subject) = owners[0];
    let all_of_a = Revocation::Subject { kind, subject };
    assert_eq!(store.revoke(all_of_a).await.unwrap(), 10);
    assert_eq!(store.revoke(all_of_a).await.unwrap(), 0);
    for number in 0..40 {
        let is_there = found(&store, number).await.is_some();
        assert_eq!(is_there, number % 4 != 0, "{number}");
    }
    let left = store.list(&List::of_subject("plugin", "b")).await.unwrap();
    assert_eq!(left.len(), 10);
}

pub(crate) async fn a_revocation_by_time_covers_whole_families<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock).build().unwrap();
    let begin = clock.wall();
    let mut families = Vec::new();
    for _ in 0..3 {
        let first = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
        clock.advance(Duration::from_micros(1));
        let second = tokens.rotate(&first.token().id()).await.unwrap();
        families.push((first, second));
    }
    // The successor was issued at that instant, its family began before.
    let instant = begin + Duration::from_micros(1);
    assert_eq!(tokens.revoke_begun_before(begin).await.unwrap(), 0);
    assert_eq!(tokens.revoke_begun_before(instant).await.unwrap(), 2);
    assert_eq!(tokens.revoke_begun_before(instant).await.unwrap(), 0);
    for (family, (first, second)) in families.iter().enumerate() {
        for issued in [first, second] {
            let valid = state(&tokens, RUNTIME, issued.token().expose()).await;
            assert_eq!(valid.is_ok(), family > 0, "{family}");
        }
    }
}

pub(crate) async fn a_revocation_leaves_no_successor<S: TokenStore>(store: S) {
    let tokens = builder(Arc::new(store), &ManualClock::new())
        .build()
        .unwrap();
    for round in 0..60 {
        let owner = Principal::new("plugin", round.to_string());
        let new = NewToken::for_principal(RUNTIME, owner);
        let first = tokens.issue(new).await.unwrap();
        let family = first.token().id();
        let start = Arc::new(Barrier::new(2));
        let rotating = tokio::spawn({
            let (tokens, start) = (tokens.clone(), Arc::clone(&start));
            async move {
                start.wait().await;
                let mut issued = vec![];
                let mut id = family;
                while let Ok(next) = tokens.rotate(&id).await {
                    id = next.token().id();
                    issued.push(next);
                }
                issued
            }
        });
        start.wait().await;
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        let subject = round.to_string();
        let revocation = match round % 2 {
            0 => Revocation::Family(family),
            _ => Revocation::Subject {
                kind: "plugin",
                subject: &subject,
            },
        };
        assert!(tokens.revoke_all(revocation).await.unwrap() > 0);
        for issued in rotating.await.unwrap() {
            let gone = state(&tokens, RUNTIME, issued.token().expose()).await;
            assert_eq!(gone, Err(InvalidReason::Unknown), "round {round}");
        }
        let left = tokens.list(&List::of_family(family)).await.unwrap();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

pub(crate) async fn a_revoked_record_is_not_brought_back_by_an_update<S: TokenStore>(store: S) {
    let store = Arc::new(store);
    for round in 0..30 {
        let first = record(round).with_idle_timeout(MINUTE * 10);
        store.insert(first.clone(), minute(0)).await.unwrap();
        let touching = tokio::spawn({
            let (store, mut record) = (Arc::clone(&store), first);
            async move {
                loop {
                    record = record.touched(minute(1));
                    if !store.update(record.clone(), minute(1)).await.unwrap() {
                        break;
                    }
                }
            }
        });
        let revoked = store.revoke(Revocation::Tokens(&[id(round)])).await;
        assert_eq!(revoked.unwrap(), 1);
        touching.await.unwrap();
        assert!(found(&*store, round).await.is_none());
    }
}

pub(crate) async fn both_tokens_are_valid_for_the_overlap<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock).with_overlap(MINUTE).build().unwrap();
    let first = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    clock.advance(MINUTE * 10);
    let second = tokens.rotate(&first.token().id()).await.unwrap();
    assert_eq!(second.expires_at(), first.expires_at() + MINUTE * 10);
    assert_ne!(second.token().expose(), first.token().expose());
    assert_eq!(second.principal().subject(), "cache");

    let (old, new) = (first.token().expose(), second.token().expose());
    for left in [MINUTE, NANO] {
        clock.advance(MINUTE - left);
        assert_eq!(state(&tokens, RUNTIME, old).await, Ok(()), "{left:?}");
        assert_eq!(state(&tokens, RUNTIME, new).await, Ok(()), "{left:?}");
    }
    let again = tokens.rotate(&first.token().id()).await;
    assert!(matches!(again, Err(RotateError::AlreadyRotated)));

    let third = tokens.rotate(&second.token().id()).await.unwrap();
    clock.advance(MINUTE);
    let third = state(&tokens, RUNTIME, third.token().expose()).await;
    assert_eq!(third, Ok(()));
}

/// One replica is five seconds behind, and one five ahead, of the one that issues.
pub(crate) async fn clocks_that_differ_disagree_for_that_long_and_no_longer<S: TokenStore>(
    store: S,
) {
    let apart = Duration::from_secs(5);
    let (store, keys) = (Arc::new(store), || {
        KeyRing::new(Pepper::new(1, &[7; 32]).unwrap(), []).unwrap()
    });
    let clock = ManualClock::new();
    let [behind, ahead] = [ManualClock::new(), ManualClock::new()];
    behind.set_wall(clock.wall() - apart);
    ahead.set_wall(clock.wall() + apart);
    let [here, behind, ahead] = [&clock, &behind, &ahead].map(|clock| {
        let tokens = Tokens::builder(Arc::clone(&store), keys()).with_clock(clock.clone());
        (clock, tokens.with_overlap(MINUTE).build().unwrap())
    });
    let pass = |time| [&here, &behind, &ahead].map(|(clock, _)| clock.advance(time));
    let states = async |text: &str| {
        [
            state(&behind.1, RUNTIME, text).await,
            state(&here.1, RUNTIME, text).await,
            state(&ahead.1, RUNTIME, text).await,
        ]
    };
    let expired = Err(InvalidReason::Expired);
    let new = || for_somebody(RUNTIME).with_ttl(MINUTE * 10);

    let issued = here.1.issue(new()).await.unwrap();
    let text = issued.token().expose();
    assert_eq!(states(text).await, [Ok(()); 3], "none is too early");
    pass(MINUTE * 10 - apart - NANO);
    assert_eq!(states(text).await, [Ok(()); 3]);
    pass(NANO);
    assert_eq!(states(text).await, [Ok(()), Ok(()), expired]);
    pass(apart);
    assert_eq!(states(text).await, [Ok(()), expired, expired]);
    pass(apart - NANO);
    assert_eq!(states(text).await, [Ok(()), expired, expired]);
    pass(NANO);
    assert_eq!(states(text).await, [expired; 3]);

    // Of an overlap so much may be missing; beyond it, what is on its way is taken for reused.
    let first = here.1.issue(new()).await.unwrap();
    let second = here.1.rotate(&first.token().id()).await.unwrap();
    let (old, new) = (first.token().expose(), second.token().expose());
    pass(MINUTE - apart - NANO);
    assert_eq!(states(old).await, [Ok(()); 3]);
    pass(NANO);
    assert_eq!(state(&here.1, RUNTIME, old).await, Ok(()));
    assert_eq!(state(&here.1, RUNTIME, new).await, Ok(()));
    let reused = state(&ahead.1, RUNTIME, old).await;
    assert_eq!(reused, Err(InvalidReason::Reused));
    let unknown = Err(InvalidReason::Unknown);
    assert_eq!(states(new).await, [unknown; 3]);
}

pub(crate) async fn reuse_takes_the_family_with_it<S: TokenStore>(store: S) {
    let (tokens, clock, reused) = watched(store, true);
    let (first, second) = replaced(&tokens, &clock).await;
    let other = tokens.issue(for_somebody(RUNTIME)).await.unwrap();

    // A wrong secret is no reuse: the id is public.
    let old = first.token().expose();
    let stranger = tokens_elsewhere(old);
    assert!(state(&tokens, RUNTIME, &stranger).await.is_err());
    assert_eq!(
        state(&tokens, RUNTIME, second.token().expose()).await,
        Ok(())
    );
    assert!(reused.lock().unwrap().is_empty());

    assert_eq!(
        state(&tokens, RUNTIME, old).await,
        Err(InvalidReason::Reused)
    );
    assert_eq!(*reused.lock().unwrap(), [(first.token().id(), Some(2))]);
    for gone in [&first, &second] {
        let gone = state(&tokens, RUNTIME, gone.token().expose()).await;
        assert_eq!(gone, Err(InvalidReason::Unknown));
    }
    assert_eq!(
        state(&tokens, RUNTIME, other.token().expose()).await,
        Ok(())
    );
    assert_eq!(reused.lock().unwrap().len(), 1, "told once");
}

pub(crate) async fn reuse_can_be_reported_alone<S: TokenStore>(store: S) {
    let (tokens, clock, reused) = watched(store, false);
    let (first, second) = replaced(&tokens, &clock).await;
    for _ in 0..2 {
        let old = state(&tokens, RUNTIME, first.token().expose()).await;
        assert_eq!(old, Err(InvalidReason::Reused));
    }
    assert_eq!(*reused.lock().unwrap(), [(first.token().id(), None); 2]);
    assert_eq!(
        state(&tokens, RUNTIME, second.token().expose()).await,
        Ok(())
    );
}

pub(crate) async fn one_time_tokens_do_not_rotate<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock).build().unwrap();
    let state = tokens
        .issue(for_somebody(TokenKind::OneTime))
        .await
        .unwrap();
    let rotated = tokens.rotate(&state.token().id()).await;
    assert!(matches!(rotated, Err(RotateError::OneTime)));

    let dead = tokens.issue(for_somebody(RUNTIME).with_ttl(MINUTE)).await;
    let dead = dead.unwrap().token().id();
    clock.advance(MINUTE);
    for unknown in [dead, id(7)] {
        let rotated = tokens.rotate(&unknown).await;
        assert!(matches!(rotated, Err(RotateError::NotLive)));
    }
}

pub(crate) async fn a_deadline_outlives_no_rotation<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock)
        .with_runtime_ttl(MINUTE * 20)
        .with_absolute_lifetime(MINUTE * 60)
        .build()
        .unwrap();
    let deadline = clock.wall() + MINUTE * 60;
    let mut last = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    for _ in 0..5 {
        clock.advance(MINUTE * 11);
        last = tokens.rotate(&last.token().id()).await.unwrap();
        assert!(last.expires_at() <= deadline);
    }
    assert_eq!(last.expires_at(), deadline);
    clock.set_wall(deadline - NANO);
    assert_eq!(state(&tokens, RUNTIME, last.token().expose()).await, Ok(()));
    clock.set_wall(deadline);
    let over = state(&tokens, RUNTIME, last.token().expose()).await;
    assert_eq!(over, Err(InvalidReason::Expired));
    let rotated = tokens.rotate(&last.token().id()).await;
    assert!(matches!(rotated, Err(RotateError::NotLive)));
}

pub(crate) async fn a_token_in_use_does_not_go_idle<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock)
        .with_idle_timeout(MINUTE * 8)
        .build()
        .unwrap();
    let used = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let unused = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let once = tokens
        .issue(for_somebody(TokenKind::OneTime))
        .await
        .unwrap();
    assert_eq!(once.expires_at(), clock.wall() + MINUTE * 5);
    for minute in 1..=60 {
        clock.advance(MINUTE);
        let valid = state(&tokens, RUNTIME, used.token().expose()).await;
        assert_eq!(valid, Ok(()), "minute {minute}");
    }
    let idle = state(&tokens, RUNTIME, unused.token().expose()).await;
    assert!(
        matches!(idle, Err(InvalidReason::Idle | InvalidReason::Unknown)),
        "{idle:?}"
    );
    clock.advance(MINUTE * 8 - NANO);
    assert_eq!(state(&tokens, RUNTIME, used.token().expose()).await, Ok(()));
    clock.advance(MINUTE * 8);
    let idle = state(&tokens, RUNTIME, used.token().expose()).await;
    assert_eq!(idle, Err(InvalidReason::Idle));
}

pub(crate) async fn a_list_has_every_record_on_one_page<S: TokenStore>(store: S) {
    let (a, b) = (Principal::new("plugin", "a"), Principal::new("plugin", "b"));
    let mut expected = BTreeSet::new();
    for number in 0..50_u128 {
        let owner = if number % 2 == 0 { &a } else { &b };
        // Five at a time in the same microsecond, ids in no order.
        let began = minute(0) + Duration::from_micros(u64::try_from(number / 5).unwrap());
        let scattered = (number * 7919) % 101;
        let record = record_from(scattered, owner, began, minute(60));
        expected.insert((Cursor::of(&record), number % 2 == 0));
        store.insert(record, minute(0)).await.unwrap();
    }
    for (name, list, of_a, removes) in [
        ("all", List::all(), None, false),
        ("a", List::of_subject("plugin", "a"), Some(true), false),
        ("b", List::of_subject("plugin", "b"), Some(false), false),
        ("all, and remove them", List::all(), None, true),
    ] {
        let mut list = list.with_limit(7).unwrap();
        let mut seen = Vec::new();
        loop {
            let page = store.list(&list).await.unwrap();
            assert!(page.len() <= 7);
            let Some(last) = page.last() else { break };
            seen.extend(page.iter().map(|record| Cursor::of(record)));
            list = list.after(Cursor::of(last));
            // The place of a record is its own, whatever happens to it.
            let touched = last.touched(minute(1));
            assert!(store.update(touched, minute(1)).await.unwrap());
            if removes {
                let ids = [page[0].id(), last.id()];
                store.revoke(Revocation::Tokens(&ids)).await.unwrap();
            }
        }
        let wanted: Vec<_> = expected
            .iter()
            .filter(|(_, is_of_a)| of_a.is_none_or(|of_a| of_a == *is_of_a))
            .map(|(cursor, _)| *cursor)
            .collect();
        assert_eq!(seen, wanted, "{name}");
    }
    let nobody = List::of_subject("plugin", "nobody");
    assert!(store.list(&nobody).await.unwrap().is_empty());
}

pub(crate) async fn a_sweep_drops_what_is_forgettable_and_only_that<S: TokenStore>(store: S) {
    let owner = Principal::new("plugin", "cache");
    for number in 1..=20 {
        let expires_at = minute(u32::try_from(number).unwrap());
        let record = record_from(number, &owner, minute(0), expires_at);
        store.insert(record, minute(0)).await.unwrap();
    }
    let superseded = record_from(20, &owner, minute(0), minute(20)).superseded(id(21), minute(2));
    assert!(store.update(superseded, minute(1)).await.unwrap());

    store.sweep(minute(10) - NANO).await.unwrap();
    store.sweep(minute(10)).await.unwrap();
    assert_eq!(store.sweep(minute(10)).await.unwrap(), 0, "swept already");
    for number in 11..=20 {
        assert!(found(&store, number).await.is_some(), "{number}");
    }
    let listed = store.list(&List::all()).await.unwrap();
    assert!(listed.iter().all(|record| record.forget_at() > minute(10)));
    store.sweep(minute(20)).await.unwrap();
    assert!(store.list(&List::all()).await.unwrap().is_empty());
}

pub(crate) async fn a_full_store_takes_a_token_only_for_a_dead_one<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let tokens = builder(store, &clock).with_overlap(MINUTE).build().unwrap();
    let short = for_somebody(RUNTIME).with_ttl(MINUTE * 5);
    let mut live = Vec::new();
    for new in [for_somebody(RUNTIME), for_somebody(RUNTIME), short] {
        live.push(tokens.issue(new).await.unwrap());
    }
    let full = tokens.issue(for_somebody(RUNTIME)).await;
    assert!(matches!(full, Err(IssueError::Full)));
    let full = tokens.rotate(&live[0].token().id()).await;
    assert!(matches!(full, Err(RotateError::Full)));
    let untouched = state(&tokens, RUNTIME, live[0].token().expose()).await;
    assert_eq!(untouched, Ok(()));

    // The short one has expired, and its place is taken by a successor.
    clock.advance(MINUTE * 5);
    let successor = tokens.rotate(&live[0].token().id()).await.unwrap();
    let full = tokens.issue(for_somebody(RUNTIME)).await;
    assert!(matches!(full, Err(IssueError::Full)));

    // The one it has replaced is dead: remembered, but in nobody's way.
    clock.advance(MINUTE);
    tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let full = tokens.issue(for_somebody(RUNTIME)).await;
    assert!(matches!(full, Err(IssueError::Full)));
    for valid in [&successor, &live[1]] {
        let valid = state(&tokens, RUNTIME, valid.token().expose()).await;
        assert_eq!(valid, Ok(()));
    }

    assert!(tokens.revoke(&live[1].token().id()).await.unwrap());
    tokens.issue(for_somebody(RUNTIME)).await.unwrap();
}

/// The same id with another secret.
fn tokens_elsewhere(text: &str) -> String {
    use tower_plugin_auth::{
        SystemRng,
        token::{KeyRing, PresentedToken, Rng, RngError, mint},
    };
    struct SameId([u8; 16]);
    impl Rng for SameId {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
            SystemRng.fill(buffer)?;
            buffer[..16].copy_from_slice(&self.0);
            Ok(())
        }
    }
    let id = PresentedToken::parse(text.as_bytes()).unwrap().id();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(RUNTIME, &keys, &SameId(*id.as_bytes())).unwrap();
    minted.token().expose().to_owned()
}

type Reuses = Arc<std::sync::Mutex<Vec<(tower_plugin_auth::token::TokenId, Option<u64>)>>>;

/// Tokens whose reuse is written down.
fn watched<S: TokenStore>(store: S, revokes: bool) -> (Tokens<S>, ManualClock, Reuses) {
    let clock = ManualClock::new();
    let reused = Reuses::default();
    let tokens = builder(store, &clock)
        .with_overlap(MINUTE)
        .with_reuse_revoking_family(revokes)
        .with_observer({
            let reused = Arc::clone(&reused);
            move |event| {
                if let TokenEvent::Reused { record, revoked } = event {
                    reused.lock().unwrap().push((record.id(), *revoked));
                }
            }
        })
        .build()
        .unwrap();
    (tokens, clock, reused)
}

/// A token and its successor, when the overlap has just passed.
async fn replaced<S: TokenStore>(
    tokens: &Tokens<S>,
    clock: &ManualClock,
) -> (tower_plugin_auth::Issued, tower_plugin_auth::Issued) {
    let first = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let second = tokens.rotate(&first.token().id()).await.unwrap();
    clock.advance(MINUTE);
    (first, second)
}

/// How many of these racers, let go at once, have won.
async fn race<F>(racers: u32, racer: impl Fn(u32) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let start = Arc::new(Barrier::new(racers as usize));
    let mut running = JoinSet::new();
    for number in 0..racers {
        let (start, racing) = (Arc::clone(&start), racer(number));
        running.spawn(async move {
            start.wait().await;
            racing.await
        });
    }
    running
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count()
}
