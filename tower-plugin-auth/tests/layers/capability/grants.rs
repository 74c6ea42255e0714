//! Grants: asked for, used up, ended.

use super::*;

/// connect-plugin-go's `TestCapabilityBroker_RequestCapability` and its `UnknownCapability`.
#[tokio::test]
async fn a_capability_that_is_offered_is_granted_and_another_is_not() {
    let broker = broker(&ManualClock::new());
    let request = GrantRequest::new(cache(), "logger").with_reason("test");
    let issued = broker.request(request.with_min_version("1.0.0").unwrap());
    let issued = issued.await.unwrap();
    assert!(issued.token().expose().starts_with("tpg_"));
    assert_eq!(issued.version(), "1.2.0");
    assert_eq!(
        issued.path(),
        format!("/capabilities/logger/{}", issued.token().id())
    );
    assert_eq!(issued.endpoint(), None, "it does not know where it is");

    let unknown = broker.request(GrantRequest::new(cache(), "secrets")).await;
    assert!(matches!(unknown, Err(RequestError::UnknownCapability)));
    broker.unregister("logger");
    let gone = broker.request(GrantRequest::new(cache(), "logger")).await;
    assert!(matches!(gone, Err(RequestError::UnknownCapability)));
}

#[tokio::test]
async fn versions_are_compared_by_precedence() {
    let broker = broker(&ManualClock::new());
    for (version, offered, is_enough) in [
        ("1.2.0", "1.2.0", true),
        ("1.2.0", "1.10.0", true),
        ("1.2.0", "2.0.0", true),
        ("1.2.0", "1.1.9", false),
        ("1.2.0", "1.2.0-rc.1", false),
        ("1.2.0-rc.1", "1.2.0-rc.2", true),
        ("1.2.0-rc.2", "1.2.0-rc.10", true),
        ("1.2.0+build.9", "1.2.0+build.1", true),
    ] {
        let capability = Capability::new("v", offered).unwrap();
        let capability = capability.with_permission("* /**".parse().unwrap());
        broker.register(capability).unwrap();
        let request = GrantRequest::new(cache(), "v").with_min_version(version);
        let issued = broker.request(request.unwrap()).await;
        assert_eq!(issued.is_ok(), is_enough, "{version} {offered}");
        assert!(is_enough || matches!(issued, Err(RequestError::NoSuchVersion)));
    }
    for wrong in ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3.4"] {
        let request = GrantRequest::new(cache(), "v").with_min_version(wrong);
        assert_eq!(request.unwrap_err().field(), "min_version");
        assert!(Capability::new("v", wrong).is_err());
    }
}

#[tokio::test]
async fn what_was_asked_for_narrows_what_is_offered_and_never_widens_it() {
    let broker = broker(&ManualClock::new());
    let service = Capabilities::default().behind(&broker);
    let scope = |text: &str| {
        let request = GrantRequest::new(cache(), "logger");
        broker.request(request.with_scope(text.parse().unwrap()))
    };
    let call = async |token: &GrantToken, path: &str| {
        let response = service.clone().oneshot(request(token, "logger", path));
        response.await.unwrap().status().is_success()
    };
    let log = scope("* /capability.logger.v1.Logger/Log").await.unwrap();
    assert!(call(log.token(), LOG).await);
    assert!(!call(log.token(), "/capability.logger.v1.Logger/Clear").await);
    let all = scope("* /**").await.unwrap();
    assert!(call(all.token(), LOG).await);
    assert!(!call(all.token(), "/secrets").await);

    let request = || GrantRequest::new(cache(), "logger");
    let day = request().with_ttl(Duration::from_secs(24 * 3600));
    assert!(matches!(
        broker.request(day).await,
        Err(RequestError::InvalidTtl)
    ));
    let long = request().with_reason(&"a".repeat(1025));
    assert!(matches!(
        broker.request(long).await,
        Err(RequestError::TooLarge)
    ));
    let many = (0..17).fold(request(), |r, _| r.with_scope("* /".parse().unwrap()));
    assert!(matches!(
        broker.request(many).await,
        Err(RequestError::TooLarge)
    ));
}

#[tokio::test]
async fn uses_are_counted_before_the_capability_is_called_and_stay_counted() {
    let broker = broker(&ManualClock::new());
    let twice = GrantRequest::new(cache(), "files").with_max_uses(limited(2));
    let issued = broker.request(twice).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let fails = service_fn({
        let calls = Arc::clone(&calls);
        move |_: Request<Body>| {
            calls.fetch_add(1, SeqCst);
            std::future::ready(Err::<Response<Body>, _>("out of order"))
        }
    });
    let service = CapabilityLayer::new(broker.clone()).layer(fails);
    let call = || {
        let request = request(issued.token(), "files", "/");
        service.clone().oneshot(request)
    };
    assert_eq!(call().await.unwrap_err(), "out of order");
    assert_eq!(call().await.unwrap_err(), "out of order");
    let response = call().await.unwrap();
    assert_eq!(reason(&response), DenialReason::UsedUp);
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn what_is_refused_is_not_counted() {
    let broker = broker(&ManualClock::new());
    let once = GrantRequest::new(cache(), "logger").with_max_uses(limited(1));
    let issued = broker.request(once).await.unwrap();
    let service = Capabilities::default().behind(&broker);
    let call = |path| {
        let request = request(issued.token(), "logger", path);
        service.clone().oneshot(request)
    };
    for _ in 0..3 {
        let response = call("/secrets").await.unwrap();
        assert_eq!(reason(&response), DenialReason::NotPermitted);
    }
    assert_eq!(call(LOG).await.unwrap().status(), StatusCode::OK);
}

/// Each limit is of the token that has set it and of all that came from that one.
#[tokio::test]
async fn a_limit_set_offline_counts_for_all_that_is_derived() {
    let broker = broker(&ManualClock::new());
    let issued = granted(&broker, "files").await;
    let three = issued.token().attenuate(&Caveat::max_uses(3).unwrap());
    let three = three.unwrap();
    let left = three.attenuate(&Caveat::max_uses(1).unwrap()).unwrap();
    let right = three.attenuate(&Caveat::path_prefix("/").unwrap()).unwrap();
    let service = Capabilities::default().behind(&broker);
    let passes = async |token: &GrantToken| {
        let response = service.clone().oneshot(request(token, "files", "/"));
        response.await.unwrap().status().is_success()
    };
    assert!(passes(&left).await && !passes(&left).await);
    assert!(passes(&right).await && passes(&three).await);
    assert!(!passes(&right).await && !passes(&three).await);
    assert!(passes(issued.token()).await, "it has no limit of its own");
}

#[tokio::test]
async fn an_observer_is_told_of_everything_and_of_no_secret() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let told = Arc::clone(&told);
        move |event: &GrantEvent<'_>| {
            let name = match event {
                GrantEvent::Denied {
                    capability,
                    record,
                    reason,
                    ..
                } => format!("denied {capability} {} {reason}", record.is_some()),
                GrantEvent::Issued { record } => format!("issued, to {}", record.reason()),
                GrantEvent::Refused { request, error } => {
                    format!("refused {}: {error}", request.capability())
                }
                GrantEvent::Revoked { count, .. } => format!("revoked {count}"),
                GrantEvent::Used { grant } => format!("used by {}", grant.principal().subject()),
                _ => panic!("{event:?}"),
            };
            told.lock().unwrap().push((name, format!("{event:?}")));
        }
    };
    let clock = ManualClock::new();
    let broker = builder(&clock).with_observer(observer).build().unwrap();
    let broker = offering(broker);
    let service = Capabilities::default().behind(&broker);
    let request_for = |capability| {
        let request = GrantRequest::new(cache(), capability);
        broker.request(request.with_reason("write"))
    };
    let issued = request_for("files").await.unwrap();
    let call = || {
        service
            .clone()
            .oneshot(request(issued.token(), "files", "/"))
    };
    assert!(call().await.is_ok());
    assert!(request_for("secrets").await.is_err());
    let garbage = Request::get("/capabilities/files/x").header("authorization", "Bearer x");
    let garbage = service
        .clone()
        .oneshot(garbage.body(Body::default()).unwrap());
    assert!(garbage.await.is_ok());
    clock.advance(Duration::from_secs(3600));
    assert!(call().await.is_ok());
    assert!(broker.revoke(&issued.token().id()).await.unwrap());
    assert!(!broker.revoke(&issued.token().id()).await.unwrap());
    assert!(call().await.is_ok());

    let told = told.lock().unwrap();
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "issued, to write",
        "used by cache-7f3a",
        "refused secrets: capability is unknown",
        "denied  false grant has an unknown prefix",
        "denied files true grant has expired",
        "revoked 1",
        "denied files false grant is unknown",
    ];
    assert_eq!(names, expected);
    let secret = &issued.token().expose()[40..];
    assert!(told.iter().all(|(_, shown)| !shown.contains(secret)));
}
