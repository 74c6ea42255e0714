//! Requests, as they come in and as they get through.

use super::*;

#[tokio::test]
async fn a_granted_call_reaches_the_capability_once() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "logger").await;

    let request = request(issued.token(), "logger", LOG);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(capabilities.calls(), 1);
    assert_eq!(capabilities.last().uri, LOG);
}

#[tokio::test]
async fn without_a_grant_there_is_a_bare_challenge_and_with_two_a_bad_request() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "files").await;

    for path in ["/capabilities/files/x", "/", "/capabilities/..%2f"] {
        let response = service.clone().oneshot(at(path, None)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = &response.headers()[WWW_AUTHENTICATE];
        assert_eq!(challenge, "Bearer realm=\"plugins\"");
    }
    let mut twice = request(issued.token(), "files", "/");
    let header = issued.token().header_value();
    twice.headers_mut().append(AUTHORIZATION, header);
    let response = service.oneshot(twice).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(capabilities.calls(), 0);
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "files").await;
    for path in [
        "/../x",
        "/./x",
        "//x",
        "/%2e%2e/x",
        "/a%2Fb",
        "/a%5Cb",
        "/%41",
        "/a/..;x/b",
        "/%252e",
    ] {
        let request = request(issued.token(), "files", path);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(reason(&response), DenialReason::AmbiguousPath, "{path}");
    }
    assert_eq!(capabilities.calls(), 0);
}

#[tokio::test]
async fn a_grpc_caller_is_refused_in_its_protocol_and_bound_to_its_rpc() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    let issued = granted(&broker, "logger").await;
    let only_log = Caveat::rpc("capability.logger.v1.Logger", "Log").unwrap();
    let token = issued.token().attenuate(&only_log).unwrap();

    let call = |path| {
        let mut request = request(&token, "logger", path);
        let grpc = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", grpc);
        service.clone().oneshot(request)
    };
    let response = call(LOG).await.unwrap();
    assert!(response.headers().get("grpc-status").is_none());
    assert_eq!(capabilities.calls(), 1);

    let response = call("/capability.logger.v1.Logger/Clear").await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(reason(&response), DenialReason::Caveat(CaveatKind::Rpc));
    assert_eq!(capabilities.calls(), 1);
}

#[tokio::test]
async fn a_layer_around_a_route_of_ones_own_judges_and_passes_on_the_path_as_it_is() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let layer = CapabilityLayer::for_capability(broker.clone(), "files").unwrap();
    let service = capabilities.within(&layer);
    let files = granted(&broker, "files").await;
    let logger = granted(&broker, "logger").await;
    let below = Caveat::path_prefix("/files").unwrap();
    let token = files.token().attenuate(&below).unwrap();

    let send = |path, token| {
        let mut request = at(path, Some(token));
        request.extensions_mut().insert(cache());
        service.clone().oneshot(request)
    };
    let response = send("/files/a?b=c", &token).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(capabilities.last().uri, "/files/a?b=c");

    let response = send("/other", &token).await.unwrap();
    assert_eq!(
        reason(&response),
        DenialReason::Caveat(CaveatKind::PathPrefix)
    );
    let response = send("/files/a", logger.token()).await.unwrap();
    assert_eq!(reason(&response), DenialReason::OtherCapability);
    assert_eq!(capabilities.calls(), 1);
    assert!(CapabilityLayer::for_capability(broker, "a/b").is_err());
}

#[tokio::test]
async fn a_prefix_of_ones_own_takes_the_place_of_the_usual_one() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let issued = granted(&broker, "files").await;
    for (prefix, front) in [("/a/b", "/a/b"), ("", "")] {
        let layer = CapabilityLayer::new(broker.clone()).with_prefix(prefix);
        let service = capabilities.within(&layer.unwrap());
        let path = format!("{front}/files/{}/x", issued.token().id());
        let mut request = at(&path, Some(issued.token()));
        request.extensions_mut().insert(cache());
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(capabilities.last().uri, "/x");
    }
    for wrong in ["a", "/", "/a/", "/a//b", "/../a"] {
        let layer = CapabilityLayer::new(broker.clone()).with_prefix(wrong);
        assert_eq!(layer.unwrap_err().field(), "prefix", "{wrong}");
    }
}

#[tokio::test]
async fn a_layer_for_one_capability_stays_so_at_a_prefix_of_ones_own() {
    let broker = broker(&ManualClock::new());
    let capabilities = Capabilities::default();
    let layer = CapabilityLayer::for_capability(broker.clone(), "logger").unwrap();
    let service = capabilities.within(&layer.with_prefix("/x").unwrap());
    let send = async |capability: &str, path: &str| {
        let issued = granted(&broker, capability).await;
        let path = format!("/x/{capability}/{}{path}", issued.token().id());
        let mut request = at(&path, Some(issued.token()));
        request.extensions_mut().insert(cache());
        service.clone().oneshot(request).await.unwrap()
    };
    assert_eq!(send("logger", LOG).await.status(), StatusCode::OK);
    assert_eq!(capabilities.last().uri, LOG);
    let response = send("files", LOG).await;
    assert_eq!(reason(&response), DenialReason::OtherCapability);
    assert_eq!(capabilities.calls(), 1);
}

async fn status<S, B>(service: S, request: Request<Body>) -> StatusCode
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
{
    service.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn no_header_by_which_a_caller_was_known_gets_through() {
    let clock = ManualClock::new();
    let (tokens, broker) = (memory_tokens(&clock), broker(&clock));
    let runtime = issue(&tokens).await;
    let owner = runtime.principal().clone();
    let key = "5f0c2d1be0bb4a0c9d51";
    let keys = ApiKeys::new([(key, owner.clone())], &SystemRng).unwrap();
    let own = || CredentialHeader::new("x-runtime".parse().unwrap());
    let by_key = ApiKeyAuthenticator::new(keys);
    let by_token = BearerAuthenticator::new(tokens.clone()).with_header(own());
    let either = FirstOf::builder().or(by_key.clone()).or(by_token.clone());

    let capabilities = Capabilities::default();
    let guarded = capabilities.within(&CapabilityLayer::new(broker.clone()));
    let issued = broker.request(GrantRequest::new(owner.clone(), "files"));
    let issued = issued.await.unwrap();
    let request = |name, value: &str| {
        let request = Request::get(format!("{}/x", issued.path()))
            .header("authorization", issued.token().header_value())
            .header("x-plugin-runtime-id", owner.subject())
            .header("x-kept", "yes");
        let request = request.header(name, value);
        request.body(Body::default()).unwrap()
    };
    let token = runtime.token().expose();
    let one = AuthLayer::new(by_key.clone()).layer(guarded.clone());
    let any = AuthLayer::new(either.build().unwrap()).layer(guarded.clone());
    let both = AuthLayer::optional(by_key).layer(AuthLayer::new(by_token).layer(guarded));
    let mut with_both = request("x-api-key", key);
    with_both
        .headers_mut()
        .insert("x-runtime", token.parse().unwrap());
    let statuses = [
        status(one, request("x-api-key", key)).await,
        status(any.clone(), request("x-api-key", key)).await,
        status(any, request("x-runtime", token)).await,
        status(both, with_both).await,
    ];
    assert_eq!(statuses, [StatusCode::OK; 4]);
    let seen = capabilities.0.lock().unwrap();
    assert_eq!(seen.len(), 4);
    for parts in &*seen {
        let names: Vec<_> = parts.headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-kept"]);
    }
}

/// As updated callers send it: who they are in `Authorization`, what they were granted beside it.
#[tokio::test]
async fn a_runtime_token_and_a_grant_are_sent_together_and_neither_gets_through() {
    let clock = ManualClock::new();
    let (tokens, broker) = (memory_tokens(&clock), broker(&clock));
    let runtime = issue(&tokens).await;
    let request = GrantRequest::new(runtime.principal().clone(), "files");
    let issued = broker.request(request).await.unwrap();

    let capabilities = Capabilities::default();
    let header = CredentialHeader::new("x-plugin-grant".parse().unwrap());
    let guarded = capabilities.within(&CapabilityLayer::new(broker.clone()).with_header(header));
    let service = AuthLayer::new(BearerAuthenticator::new(tokens.clone())).layer(guarded);
    let call = |runtime: &tower_plugin_auth::Issued| {
        let request = Request::get(format!("{}/x", issued.path()))
            .header("authorization", bearer(runtime))
            .header("x-plugin-grant", issued.token().expose());
        service
            .clone()
            .oneshot(request.body(Body::default()).unwrap())
    };
    assert_eq!(call(&runtime).await.unwrap().status(), StatusCode::OK);
    let seen = capabilities.last();
    assert!(seen.headers.is_empty(), "{:?}", seen.headers);
    assert_eq!(
        seen.extensions.get::<Principal>(),
        Some(runtime.principal())
    );

    let response = call(&issue(&tokens).await).await.unwrap();
    assert_eq!(reason(&response), DenialReason::NotHolder);
    let challenge = &response.headers()[WWW_AUTHENTICATE];
    assert_eq!(challenge, "ApiKey realm=\"plugins\"");
    assert_eq!(capabilities.calls(), 1);
}

#[tokio::test]
async fn a_grant_bound_to_a_certificate_wants_a_connection_that_has_it() {
    let broker = broker(&ManualClock::new());
    let own = Thumbprint::of_certificate(b"own");
    let bound = GrantRequest::new(cache(), "files").held_by_certificate(own);
    let issued = broker.request(bound).await.unwrap();
    let capabilities = Capabilities::default();
    let service = capabilities.behind(&broker);
    for (certificate, passes) in [(Some("own"), true), (Some("other"), false), (None, false)] {
        let mut request = at(&format!("{}/x", issued.path()), Some(issued.token()));
        if let Some(der) = certificate {
            let tls = TlsInfo::new().with_client_certificates([der]);
            request.extensions_mut().insert(tls);
        }
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().is_success(), passes, "{certificate:?}");
    }
}

#[tokio::test]
async fn an_audience_is_met_by_the_server_of_that_name_alone() {
    let broker = broker(&ManualClock::new());
    let issued = granted(&broker, "files").await;
    let here = Caveat::audience("here.example").unwrap();
    let token = issued.token().attenuate(&here).unwrap();
    let capabilities = Capabilities::default();
    let layer = || CapabilityLayer::new(broker.clone());
    for (layer, passes) in [
        (layer().with_audience("here.example"), true),
        (layer().with_audience("there.example"), false),
        (layer(), false),
    ] {
        let service = capabilities.within(&layer);
        let response = service.oneshot(request(&token, "files", "/")).await;
        assert_eq!(response.unwrap().status().is_success(), passes);
    }
}

#[tokio::test]
async fn whoever_wants_no_tower_asks_the_broker() {
    let clock = ManualClock::new();
    let broker = broker(&clock);
    let issued = granted(&broker, "files").await;
    let owner = cache();
    let once = issued.token().attenuate(&Caveat::max_uses(1).unwrap());
    let text = once.unwrap();
    let asked = Asked::new("files", "GET", "/x", broker.now()).with_principal(Some(&owner));
    let grant = broker.authorize(text.expose().as_bytes(), &asked).await;
    assert_eq!(grant.unwrap().id(), issued.token().id());
    let error = broker.authorize(text.expose().as_bytes(), &asked).await;
    let error = error.unwrap_err();
    assert_eq!(error.reason(), Some(DenialReason::UsedUp));
    assert_eq!(error.to_string(), "invalid grant");
}
