//! What went wrong elsewhere.

use super::*;

/// F20: anybody could ask for a grant, and whoever had its token had the grant.
#[tokio::test]
async fn f20_nobody_is_granted_anything_by_default_and_a_grant_is_its_owners() {
    let clock = ManualClock::new();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let default = CapabilityBroker::builder(MemoryGrantStore::new(10).unwrap(), keys);
    let default = offering(default.build().unwrap());
    let denied = default.request(GrantRequest::new(cache(), "files")).await;
    assert!(matches!(denied, Err(RequestError::Denied)));

    let broker = broker(&clock);
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "files").await;
    let by = |who: Option<Principal>| {
        let mut request = at(&format!("{}/x", issued.path()), Some(issued.token()));
        if let Some(who) = who {
            request.extensions_mut().insert(who);
        }
        service.clone().oneshot(request)
    };
    let strangers = [
        None,
        Some(Principal::new("runtime", "other")),
        Some(Principal::new("api-key", "cache-7f3a")),
    ];
    for stranger in strangers {
        let response = by(stranger).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(reason(&response), DenialReason::NotHolder);
    }
    assert_eq!(capabilities.calls(), 0);
    assert_eq!(by(Some(cache())).await.unwrap().status(), StatusCode::OK);

    // Whoever wants it otherwise has to say so.
    let anybodys = GrantRequest::new(cache(), "files").with_insecure_bearer();
    let anybodys = broker.request(anybodys).await.unwrap();
    let request = at(&format!("{}/x", anybodys.path()), Some(anybodys.token()));
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// F22: one lock was held while a capability ran; one that called the broker waited for itself.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn f22_a_slow_capability_keeps_nobody_waiting_and_may_call_the_broker() {
    let clock = ManualClock::new();
    let broker = {
        // So may a policy and an observer.
        let ours: Arc<Mutex<Option<Broker>>> = Arc::default();
        let (in_policy, in_observer) = (Arc::clone(&ours), Arc::clone(&ours));
        let built = builder(&clock)
            .with_policy(move |_: &GrantRequest, _: &Capability| {
                let broker = in_policy.lock().unwrap().clone().unwrap();
                broker
                    .register(
                        Capability::new("more", "1.0.0")
                            .unwrap()
                            .with_permission("* /**".parse().unwrap()),
                    )
                    .is_ok()
            })
            .with_observer(move |_| {
                let broker = in_observer.lock().unwrap().clone().unwrap();
                assert_eq!(broker.store().capacity(), 100);
                assert!(!broker.store().is_empty());
            })
            .build()
            .unwrap();
        *ours.lock().unwrap() = Some(built.clone());
        offering(built)
    };
    let (slow, quick) = (
        granted(&broker, "files").await,
        granted(&broker, "files").await,
    );

    let gate = Arc::new(tokio::sync::Notify::new());
    let capability = service_fn({
        let (broker, gate) = (broker.clone(), Arc::clone(&gate));
        move |request: Request<Body>| {
            let (broker, gate) = (broker.clone(), Arc::clone(&gate));
            async move {
                // Re-entrant: asks for another grant, and ends its own.
                granted(&broker, "logger").await;
                let id = request.extensions().get::<Grant>().unwrap().id();
                assert!(broker.revoke(&id).await.unwrap());
                if request.uri().path() == "/slow" {
                    gate.notified().await;
                }
                Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
            }
        }
    });
    let service = CapabilityLayer::new(broker.clone()).layer(capability);
    let waiting = tokio::spawn(
        service
            .clone()
            .oneshot(request(slow.token(), "files", "/slow")),
    );
    tokio::task::yield_now().await;

    let response = service.oneshot(request(quick.token(), "files", "/quick"));
    let response = tokio::time::timeout(Duration::from_secs(10), response).await;
    assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
    assert!(broker.capabilities().len() >= 2);
    assert!(!waiting.is_finished());
    gate.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
}

/// F23: only the id in the path was looked at, whatever stood in front of it.
#[tokio::test]
async fn f23_a_grant_is_good_for_its_own_capability_at_its_own_address() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let (one, other) = (
        granted(&broker, "files").await,
        granted(&broker, "files").await,
    );
    let at = |path: String| {
        let mut request = at(&path, Some(one.token()));
        request.extensions_mut().insert(cache());
        service.clone().oneshot(request)
    };
    let id = one.token().id();
    for (path, why) in [
        (
            format!("/capabilities/logger/{id}/x"),
            DenialReason::OtherCapability,
        ),
        (
            format!("/capabilities/SECRETS/{id}/x"),
            DenialReason::OtherCapability,
        ),
        (
            format!("/capabilities/FILES/{id}/x"),
            DenialReason::OtherCapability,
        ),
        (format!("{}/x", other.path()), DenialReason::OtherGrant),
        (format!("/files/{id}/x"), DenialReason::OtherCapability),
        (
            "/capabilities/files".to_owned(),
            DenialReason::OtherCapability,
        ),
    ] {
        let response = at(path.clone()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(reason(&response), why, "{path}");
    }
    assert_eq!(capabilities.calls(), 0);
}

/// F24: lifetimes could not be set, nobody was told of them, versions and reasons were dropped.
#[tokio::test]
async fn f24_a_grant_says_until_when_and_remembers_which_version_and_why() {
    let clock = ManualClock::new();
    let broker = broker(&clock);
    let quick = Capability::new("quick", "1.0.0").unwrap();
    let quick = quick.with_permission("* /**".parse().unwrap());
    let quick = quick.with_ttl(Duration::from_secs(90));
    broker
        .register(quick.with_endpoint("https://h.example:1").unwrap())
        .unwrap();

    let hour = granted(&broker, "files").await;
    assert_eq!(hour.expires_at(), clock.wall() + Duration::from_secs(3600));
    let request = || GrantRequest::new(cache(), "quick").with_reason("to be quick");
    let issued = broker.request(request()).await.unwrap();
    assert_eq!(issued.expires_at(), clock.wall() + Duration::from_secs(90));
    let address = format!("https://h.example:1{}", issued.path());
    assert_eq!(issued.endpoint(), Some(address));
    let minute = request().with_ttl(Duration::from_secs(60));
    let minute = broker.request(minute).await.unwrap();
    assert_eq!(minute.expires_at(), clock.wall() + Duration::from_secs(60));
    let below = request().with_ttl(Duration::from_secs(59));
    assert!(matches!(
        broker.request(below).await,
        Err(RequestError::InvalidTtl)
    ));

    let Answer::Ready(Ok(Some(record))) = broker.store().get(&issued.token().id()) else {
        panic!("memory answers at once");
    };
    assert_eq!(
        (record.reason(), record.version()),
        ("to be quick", "1.0.0")
    );

    let fleeting = Capability::new("fleeting", "1.0.0").unwrap();
    let fleeting = fleeting.with_permission("* /**".parse().unwrap());
    let error = broker.register(fleeting.with_ttl(Duration::from_secs(59)));
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "ttl must be between the floor of 1 minute and 10 years"
    );
}

/// F25: grants were never counted nor forgotten, and nobody could end one.
#[tokio::test]
async fn f25_grants_are_capped_swept_and_revoked() {
    let clock = ManualClock::new();
    let broker = builder(&clock).with_max_per_principal(3).build().unwrap();
    let broker = offering(broker);
    let request_by = |who: &str, capability: &str| {
        let who = Principal::new("runtime", who.to_owned());
        broker.request(GrantRequest::new(who, capability))
    };
    for _ in 0..3 {
        request_by("a", "files").await.unwrap();
    }
    let fourth = request_by("a", "files").await;
    assert!(matches!(fourth, Err(RequestError::FullForPrincipal)));
    for other in 0..97 {
        request_by(&format!("p{other}"), "logger").await.unwrap();
    }
    let full = request_by("b", "files").await;
    assert!(matches!(full, Err(RequestError::Full)));

    assert_eq!(broker.revoke_subject("runtime", "a").await.unwrap(), 3);
    assert_eq!(broker.revoke_subject("runtime", "a").await.unwrap(), 0);
    let files = request_by("a", "files").await.unwrap();
    assert_eq!(broker.revoke_capability("logger").await.unwrap(), 97);
    assert_eq!(broker.store().len(), 1);

    let service = Capabilities::default().behind(&broker);
    let call = async |token: &GrantToken| {
        let path = format!("/capabilities/files/{}/x", token.id());
        let mut request = at(&path, Some(token));
        let owner = Principal::new("runtime", "a");
        request.extensions_mut().insert(owner);
        let response = service.clone().oneshot(request).await.unwrap();
        response.extensions().get::<DenialReason>().copied()
    };
    let derived = files.token().attenuate(&Caveat::max_uses(9).unwrap());
    let derived = derived.unwrap();
    assert_eq!(call(&derived).await, None);
    let (grant, link) = (files.token().id(), derived.link());
    assert!(broker.revoke_link(&grant, &link).await.unwrap());
    assert_eq!(call(&derived).await, Some(DenialReason::Revoked));
    assert_eq!(call(files.token()).await, None);
    let revoked = broker.revoke_all(GrantRevocation::Grant(grant)).await;
    assert_eq!(revoked.unwrap(), 1);
    assert_eq!(call(files.token()).await, Some(DenialReason::Unknown));

    request_by("a", "files").await.unwrap();
    assert_eq!(broker.sweep().await.unwrap(), 0);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(broker.sweep().await.unwrap(), 1);
    assert!(broker.store().is_empty());
}

/// F26: an unknown id, an expired grant and a wrong token each had a text, and expiry was told to anybody.
#[tokio::test]
async fn f26_every_refusal_looks_the_same_to_the_caller() {
    let clock = ManualClock::new();
    let (ours, theirs) = (broker(&clock), broker(&clock));
    let service = Capabilities::default().behind(&ours);
    let known = granted(&ours, "files").await;
    let gone = granted(&ours, "files").await;
    ours.revoke(&gone.token().id()).await.unwrap();
    let unknown = granted(&theirs, "files").await;
    let narrow = known.token().attenuate(&Caveat::path_prefix("/a").unwrap());
    let narrow = narrow.unwrap();
    let soon = Caveat::not_after(clock.wall()).unwrap();
    let soon = known.token().attenuate(&soon).unwrap();
    let mut wrong = known.token().expose().to_owned();
    wrong.replace_range(50..51, if &wrong[50..51] == "A" { "B" } else { "A" });

    let mut answers = Vec::new();
    let mut ask = async |request: Request<Body>| {
        let response = service.clone().oneshot(request).await.unwrap();
        let why = reason(&response);
        let head = (response.status(), response.headers().clone());
        answers.push((head, text(response).await));
        why
    };
    let files = |token| request(token, "files", "/x");
    assert_eq!(ask(files(gone.token())).await, DenialReason::Unknown);
    assert_eq!(ask(files(unknown.token())).await, DenialReason::Unknown);
    assert_eq!(
        ask(files(&narrow)).await,
        DenialReason::Caveat(CaveatKind::PathPrefix)
    );
    assert_eq!(
        ask(files(&soon)).await,
        DenialReason::Caveat(CaveatKind::NotAfter)
    );
    let mut garbled = files(known.token());
    let wrong = format!("Bearer {wrong}").parse().unwrap();
    garbled.headers_mut().insert(AUTHORIZATION, wrong);
    assert!(matches!(ask(garbled).await, DenialReason::Malformed(_)));
    let other = request(known.token(), "logger", LOG);
    assert_eq!(ask(other).await, DenialReason::OtherCapability);
    let mut stranger = files(known.token());
    stranger.extensions_mut().clear();
    assert_eq!(ask(stranger).await, DenialReason::NotHolder);
    clock.advance(Duration::from_secs(3600));
    // Looked at last: whoever has no genuine token learns nothing of the end of one.
    assert_eq!(ask(files(known.token())).await, DenialReason::Expired);

    let (head, body) = answers[0].clone();
    assert_eq!(head.0, StatusCode::UNAUTHORIZED);
    let challenge = &head.1[WWW_AUTHENTICATE];
    assert_eq!(
        challenge,
        "Bearer realm=\"plugins\", error=\"invalid_token\""
    );
    assert!(
        body.contains("invalid token") && !body.contains("expire"),
        "{body}"
    );
    assert!(
        answers
            .iter()
            .all(|answer| *answer == (head.clone(), body.clone()))
    );
}

/// F27: capabilities were handed the token, and a request whose address was rewritten by half.
#[tokio::test]
async fn f27_a_capability_sees_its_own_address_the_grant_and_no_credential() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "files").await;
    let once = issued.token().attenuate(&Caveat::max_uses(1).unwrap());
    let token = once.unwrap();

    let mut sent = request(&token, "files", "/a%20b/c?d=/capabilities/x&e");
    sent.headers_mut().insert("x-kept", "yes".parse().unwrap());
    let whole = format!("http://h.example:1{}", sent.uri());
    *sent.uri_mut() = whole.parse().unwrap();
    service.oneshot(sent).await.unwrap();

    let seen = capabilities.last();
    assert_eq!(seen.uri, "http://h.example:1/a%20b/c?d=/capabilities/x&e");
    assert_eq!(seen.headers.len(), 1, "{:?}", seen.headers);
    let grant = seen.extensions.get::<Grant>().unwrap();
    assert_eq!(grant.id(), issued.token().id());
    assert_eq!(grant.link(), token.link());
    assert_eq!((grant.capability(), grant.principal()), ("files", &cache()));
    assert_eq!(grant.expires_at(), issued.expires_at());
    assert!(!format!("{seen:?}").contains(&token.expose()[40..]));
}
