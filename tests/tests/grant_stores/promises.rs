use super::*;

#[tokio::test]
async fn what_one_replica_grants_another_knows_with_all_that_belongs_to_it() {
    let (stores, _server) = stores(100).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let request = request_by("a", "files")
            .with_max_uses(limit(3))
            .with_scope("GET /x".parse().unwrap())
            .with_reason("to see \u{1F440}");
        let issued = here.request(request).await.unwrap();
        let found = there.store().get(&issued.token().id()).await.unwrap();
        let record = found.unwrap();
        assert_eq!(record.reason(), "to see \u{1F440}");
        assert_eq!(record.max_uses(), Some(limit(3)));
        assert_eq!((record.capability(), record.version()), ("files", "1.0.0"));
        assert_eq!(record.expires_at(), issued.expires_at());
        assert_eq!(record.principal().subject(), "a");
        assert_eq!(record.scope(), ["GET /x".parse().unwrap()]);
        assert_eq!(present(&there, "files", issued.token()).await, None);
    }
}

#[tokio::test]
async fn grants_in_redis_are_counted_for_as_long_as_they_are_valid() {
    let server = RedisServer::start().await;
    let clock = ManualClock::new();
    let store = redis(&server.url(), 100).grants();
    let broker = broker(SharedGrantStore::new(store.clone()), &clock);
    let count = async || store.count_live(clock.wall()).await.unwrap();
    let one = granted(&broker, "a", "files").await;
    let request = request_by("b", "logger").with_ttl(Duration::from_secs(60));
    broker.request(request).await.unwrap();
    granted(&broker, "b", "files").await;
    assert_eq!(count().await, 3);
    assert!(broker.revoke(&one.token().id()).await.unwrap());
    assert_eq!(count().await, 2);
    clock.advance(Duration::from_secs(60));
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn a_revocation_is_in_force_everywhere_at_once() {
    let (stores, _server) = stores(100).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let one = granted(&here, "a", "files").await;
        let other = granted(&here, "a", "logger").await;
        let third = granted(&here, "b", "files").await;
        let derived = one
            .token()
            .attenuate(&Caveat::max_uses(9).unwrap())
            .unwrap();
        let below = derived
            .attenuate(&Caveat::path_prefix("/").unwrap())
            .unwrap();
        assert_eq!(present(&there, "files", &below).await, None);

        // Twice is once.
        for _ in 0..2 {
            let revoked = here.revoke_link(&one.token().id(), &derived.link()).await;
            assert!(revoked.unwrap());
        }
        let revoked = Some(DenialReason::Revoked);
        assert_eq!(present(&there, "files", &derived).await, revoked);
        assert_eq!(present(&there, "files", &below).await, revoked);
        assert_eq!(present(&there, "files", one.token()).await, None);

        let unknown = Some(DenialReason::Unknown);
        assert!(here.revoke(&one.token().id()).await.unwrap());
        assert!(!here.revoke(&one.token().id()).await.unwrap());
        let again = here.revoke_link(&one.token().id(), &derived.link()).await;
        assert!(!again.unwrap(), "there is nothing left of it");
        assert_eq!(present(&there, "files", one.token()).await, unknown);
        assert_eq!(here.revoke_subject("runtime", "a").await.unwrap(), 1);
        assert_eq!(here.revoke_subject("api-key", "b").await.unwrap(), 0);
        assert_eq!(present(&there, "logger", other.token()).await, unknown);
        assert_eq!(present(&there, "files", third.token()).await, None);
        assert_eq!(here.revoke_capability("files").await.unwrap(), 1);
        assert_eq!(here.revoke_capability("files").await.unwrap(), 0);
        assert_eq!(present(&there, "files", third.token()).await, unknown);
    }
}

#[tokio::test]
async fn nobody_has_more_grants_than_he_may_and_all_together_no_more_than_there_is_room_for() {
    let (stores, _server) = stores(7).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        for _ in 0..5 {
            granted(&here, "a", "files").await;
        }
        let sixth = there.request(request_by("a", "files")).await;
        assert!(
            matches!(sixth, Err(RequestError::FullForPrincipal)),
            "{sixth:?}"
        );
        granted(&there, "b", "files").await;
        granted(&there, "c", "files").await;
        let eighth = here.request(request_by("d", "files")).await;
        assert!(matches!(eighth, Err(RequestError::Full)), "{eighth:?}");

        // The expired are in nobody's way.
        clock.advance(Duration::from_secs(3600));
        for owner in ["a", "d"] {
            granted(&here, owner, "files").await;
        }
        // Clocks of replicas differ by less than the minute for which Redis waits.
        clock.advance(Duration::from_secs(3660));
        there.sweep().await.unwrap();
        assert_eq!(there.sweep().await.unwrap(), 0);
        assert_eq!(there.revoke_capability("files").await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_expired_grant_is_good_for_nothing_to_the_nanosecond() {
    let (stores, _server) = stores(7).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let issued = granted(&here, "a", "files").await;
        clock.set_wall(issued.expires_at() - Duration::from_nanos(1));
        assert_eq!(present(&there, "files", issued.token()).await, None);
        clock.set_wall(issued.expires_at());
        let expired = Some(DenialReason::Expired);
        assert_eq!(present(&there, "files", issued.token()).await, expired);
    }
}

#[tokio::test]
async fn of_no_grant_more_links_are_counted_or_revoked_than_there_is_room_for() {
    let (stores, _server) = stores(7).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let issued = granted(&here, "a", "files").await;
        let derive = |count: usize| {
            let count = u32::try_from(count + 2).unwrap();
            issued
                .token()
                .attenuate(&Caveat::max_uses(count).unwrap())
                .unwrap()
        };
        for count in 0..MAX_LINKS {
            assert_eq!(present(&there, "files", &derive(count)).await, None);
        }
        let used_up = Some(DenialReason::UsedUp);
        assert_eq!(present(&here, "files", &derive(MAX_LINKS)).await, used_up);
        assert_eq!(present(&here, "files", &derive(0)).await, None);
        assert_eq!(present(&here, "files", &derive(0)).await, used_up);
        assert_eq!(present(&here, "files", issued.token()).await, None);

        let revoke = |count| {
            let (id, link) = (issued.token().id(), derive(count).link());
            let here = here.clone();
            async move { here.revoke_link(&id, &link).await.unwrap() }
        };
        for count in 0..MAX_LINKS {
            assert!(revoke(count).await);
        }
        assert_eq!(present(&there, "files", issued.token()).await, None);
        assert!(revoke(MAX_LINKS).await);
        let unknown = Some(DenialReason::Unknown);
        assert_eq!(present(&there, "files", issued.token()).await, unknown);
    }
}

/// A replica whose clock is ahead neither drops what is good on others, nor hides it from a revocation.
#[tokio::test]
async fn clocks_that_differ_by_less_than_a_minute_take_nothing_away() {
    let server = RedisServer::start().await;
    let (clock, ahead) = (ManualClock::new(), ManualClock::new());
    let store = || SharedGrantStore::new(redis(&server.url(), 10).grants());
    let (here, there) = (broker(store(), &clock), broker(store(), &ahead));
    let issued = granted(&here, "a", "files").await;
    for clock in [&clock, &ahead] {
        clock.advance(Duration::from_secs(3590));
    }
    ahead.advance(Duration::from_secs(40));
    granted(&there, "a", "files").await;
    assert_eq!(there.sweep().await.unwrap(), 0);
    assert_eq!(present(&here, "files", issued.token()).await, None);
    assert_eq!(there.revoke_subject("runtime", "a").await.unwrap(), 2);
    let unknown = Some(DenialReason::Unknown);
    assert_eq!(present(&here, "files", issued.token()).await, unknown);
}

/// Nothing in Redis outlives what it is about, and no name is in it.
#[tokio::test]
async fn redis_keeps_no_names_and_nothing_for_ever() {
    let server = RedisServer::start().await;
    let clock = ManualClock::new();
    let store = SharedGrantStore::new(redis(&server.url(), 10).grants());
    let broker = broker(store, &clock);
    let issued = granted(&broker, "somebody-known", "files").await;
    let derived = issued.token().attenuate(&Caveat::max_uses(1).unwrap());
    assert_eq!(present(&broker, "files", &derived.unwrap()).await, None);

    let kept = keys(&server).await;
    assert!(
        kept.iter().all(|(key, _)| key.starts_with("{tp}:g:")),
        "{kept:?}"
    );
    assert!(
        kept.iter().all(|(key, _)| !key.contains("somebody")),
        "{kept:?}"
    );
    for (key, ttl) in &kept {
        let is_index_of_all = key == "{tp}:g:live";
        assert!(
            is_index_of_all || (3600..=3660).contains(ttl),
            "{key} {ttl}"
        );
    }
    assert_eq!(kept.len(), 4);
    assert!(broker.revoke(&issued.token().id()).await.unwrap());
    assert!(keys(&server).await.is_empty());
}

/// Every key, and for how many seconds it is kept.
async fn keys(server: &RedisServer) -> Vec<(String, i64)> {
    let names = server.cli(&["KEYS", "*"]).await;
    let mut all = Vec::new();
    for key in names.lines().filter(|line| !line.is_empty()) {
        let ttl = server.cli(&["TTL", key]).await;
        all.push((key.to_owned(), ttl.trim().parse().unwrap()));
    }
    all
}

#[tokio::test]
async fn a_store_goes_through_all_its_grants_and_forgets_those_it_is_told_to() {
    let (stores, _server) = stores(2000).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        for n in 0..1200 {
            let self_id = if n % 3 == 0 { "a" } else { "b" };
            let owner = Principal::new("runtime", format!("owner-{n}"));
            let owner = owner.with_attribute("self_id", self_id);
            let issued = here.request(GrantRequest::new(owner, "files")).await;
            issued.unwrap();
        }
        let is_of_a = |record: &GrantRecord| record.principal().attribute("self_id") == Some("a");
        assert_eq!(there.store().revoke_where(&is_of_a).await.unwrap(), 400);
        assert_eq!(here.store().revoke_where(&is_of_a).await.unwrap(), 0);
        assert_eq!(here.revoke_capability("files").await.unwrap(), 800);
    }
}

#[tokio::test]
async fn what_is_left_of_a_grant_is_what_the_limit_reached_first_leaves() {
    let (stores, _server) = stores(7).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let issued = here.request(request_by("a", "files").with_max_uses(limit(4)));
        let issued = issued.await.unwrap();
        let thrice = issued.token().attenuate(&Caveat::max_uses(3).unwrap());
        let thrice = thrice.unwrap();
        let twice = thrice.attenuate(&Caveat::max_uses(2).unwrap()).unwrap();
        let use_up = async |broker: &Broker, token: &GrantToken| {
            let asked = Asked::new("files", "GET", "/x", broker.now());
            let grant = broker.authorize(token.expose().as_bytes(), &asked).await;
            grant.map(|grant| grant.uses_left())
        };
        assert_eq!(use_up(&here, &twice).await.unwrap(), Some(1));
        assert_eq!(use_up(&there, issued.token()).await.unwrap(), Some(2));
        assert_eq!(use_up(&here, &thrice).await.unwrap(), Some(1));
        assert_eq!(use_up(&there, &twice).await.unwrap(), Some(0));
        assert!(use_up(&here, &twice).await.is_err());
        assert!(use_up(&there, issued.token()).await.is_err());

        let unlimited = granted(&here, "b", "files").await;
        assert_eq!(use_up(&there, unlimited.token()).await.unwrap(), None);
    }
}
