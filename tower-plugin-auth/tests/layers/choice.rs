//! `ApiKeyAuthenticator`, `FirstOf`, `AuthLayer::optional` and `Deadline`.

use std::sync::atomic::Ordering;

use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    Answer, AuthError, AuthLayer, BearerAuthenticator, ManualClock, MemoryStore, Principal,
    RequestHead, SystemRng,
    authenticate::{
        ApiKeyAuthenticator, ApiKeys, Authenticator, CredentialHeader, CredentialProblem, FirstOf,
        from_async_fn, from_fn,
    },
    token::{InvalidReason, Rng, RngError},
};

use crate::support::{
    Body, Down, Slow, Whoami, bearer, issue, memory_tokens, request, text, tokens,
};

const KEY: &str = "5f0c2d1be0bb4a0c9d51";

fn api_keys() -> ApiKeyAuthenticator {
    let billing = Principal::new("api-key", "billing");
    ApiKeyAuthenticator::new(ApiKeys::new([(KEY, billing)], &SystemRng).unwrap())
}

fn challenges<B>(response: &Response<B>) -> Vec<&str> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// The reference's `APIKeyAuth`, whose header may have another name and a prefix.
#[tokio::test]
async fn an_api_key_is_taken_from_its_header_alone() {
    let token_header = CredentialHeader::new("x-custom-auth".parse().unwrap());
    let prefixed = api_keys().with_header(token_header.with_scheme("Token").unwrap());
    let plain = AuthLayer::new(api_keys()).layer(Whoami::default());
    let prefixed = AuthLayer::new(prefixed).layer(Whoami::default());

    let (token, lower) = (format!("Token {KEY}"), format!("token   {KEY}"));
    let (short, long) = (&KEY[..KEY.len() - 1], format!("{KEY}1"));
    let near = KEY.replace('5', "6");
    let huge = "k".repeat(100_000);
    const API: &str = "x-api-key";
    const CUSTOM: &str = "x-custom-auth";
    type Sent<'a> = Vec<(&'a str, &'a str)>;
    type Expect = Result<&'static str, (u16, Option<CredentialProblem>)>;
    let missing: Expect = Err((401, None));
    let unknown: Expect = Err((401, Some(CredentialProblem::UnknownKey)));
    let cases: Vec<(&str, _, Sent<'_>, Expect)> = vec![
        ("right", &plain, vec![(API, KEY)], Ok("billing")),
        ("none", &plain, vec![], missing),
        ("as bearer", &plain, vec![("authorization", KEY)], missing),
        ("empty", &plain, vec![(API, "")], unknown),
        ("near", &plain, vec![(API, &near)], unknown),
        ("shorter", &plain, vec![(API, short)], unknown),
        ("longer", &plain, vec![(API, &long)], unknown),
        ("with a scheme", &plain, vec![(API, &token)], unknown),
        ("huge", &plain, vec![(API, &huge)], unknown),
        (
            "twice",
            &plain,
            vec![(API, KEY), (API, KEY)],
            Err((400, None)),
        ),
        ("prefixed", &prefixed, vec![(CUSTOM, &token)], Ok("billing")),
        ("lower", &prefixed, vec![(CUSTOM, &lower)], Ok("billing")),
        ("not prefixed", &prefixed, vec![(CUSTOM, KEY)], missing),
        ("elsewhere", &prefixed, vec![(API, KEY)], missing),
    ];
    for (name, service, headers, expected) in cases {
        let response = service.clone().oneshot(request(&headers)).await.unwrap();
        match expected {
            Ok(subject) => assert_eq!(text(response).await, subject, "{name}"),
            Err((status, problem)) => {
                assert_eq!(response.status(), status, "{name}");
                assert_eq!(response.extensions().get(), problem.as_ref(), "{name}");
                assert_eq!(
                    challenges(&response),
                    ["ApiKey realm=\"plugins\""],
                    "{name}"
                );
                assert!(!text(response).await.contains(KEY), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn an_issued_token_can_be_sent_as_an_api_key() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let header = CredentialHeader::new("x-api-key".parse().unwrap());
    let service = AuthLayer::new(BearerAuthenticator::new(tokens).with_header(header))
        .layer(Whoami::default());
    let sent = request(&[("x-api-key", issued.token().expose())]);
    let response = service.clone().oneshot(sent).await.unwrap();
    assert_eq!(text(response).await, issued.principal().subject());

    // Where it is not looked for, it is not found.
    let response = service.oneshot(request(&[("authorization", &bearer(&issued))]));
    assert_eq!(response.await.unwrap().status(), 401);
}

#[test]
fn keys_that_protect_nothing_are_refused_by_their_place() {
    struct NoRng;
    impl Rng for NoRng {
        fn fill(&self, _: &mut [u8]) -> Result<(), RngError> {
            Err(RngError::new("no entropy"))
        }
    }
    let somebody = || Principal::new("api-key", "somebody");
    let long = "k".repeat(513);
    for (keys, expected) in [
        (vec![], "api keys must be at least one"),
        (
            vec![KEY, "fifteen-letters"],
            "api key 1 must be 16 to 512 visible ASCII characters",
        ),
        (
            vec![&*long],
            "api key 0 must be 16 to 512 visible ASCII characters",
        ),
        (
            vec!["sixteen letters!"],
            "api key 0 must be 16 to 512 visible ASCII characters",
        ),
        (
            vec!["söchzehn-zeichen"],
            "api key 0 must be 16 to 512 visible ASCII characters",
        ),
        (
            vec![KEY, "another-long-key", KEY],
            "api key 2 must not be repeated",
        ),
    ] {
        let keys = keys.into_iter().map(|key| (key, somebody()));
        let error = ApiKeys::new(keys, &SystemRng).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert!(ApiKeys::new([(KEY, somebody())], &NoRng).is_err());
}

/// F04, F15: in the reference a placeholder let everybody in, and so did an empty list.
#[test]
fn f15_an_empty_list_of_authenticators_is_a_build_error() {
    let error = FirstOf::builder().build().unwrap_err();
    assert_eq!(error.to_string(), "authenticators must be at least one");
}

/// The reference's tests of composed providers, each of which may answer at once or take its time.
#[tokio::test]
async fn the_first_credential_present_decides() {
    let clock = ManualClock::new();
    let fast = memory_tokens(&clock);
    let slow = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let waiting_keys = || {
        let keys = api_keys();
        from_async_fn(move |request| {
            let answer = keys.authenticate(request);
            async move {
                tokio::task::yield_now().await;
                answer.await
            }
        })
    };
    let build = |list: tower_plugin_auth::authenticate::FirstOfBuilder| list.build().unwrap();
    let stacks = [
        (
            bearer(&issue(&fast).await),
            build(
                FirstOf::builder()
                    .or(BearerAuthenticator::new(fast.clone()))
                    .or(api_keys()),
            ),
        ),
        (
            bearer(&issue(&slow).await),
            build(
                FirstOf::builder()
                    .or(BearerAuthenticator::new(slow.clone()))
                    .or(waiting_keys()),
            ),
        ),
        (
            bearer(&issue(&fast).await),
            build(
                FirstOf::builder()
                    .or(waiting_keys())
                    .or(BearerAuthenticator::new(fast.clone())),
            ),
        ),
        (
            bearer(&issue(&slow).await),
            build(
                FirstOf::builder()
                    .or(from_fn(|_| Err(AuthError::Missing)))
                    .or(waiting_keys())
                    .or(BearerAuthenticator::new(slow.clone()))
                    .or(from_async_fn(|_| async { Err(AuthError::Missing) })),
            ),
        ),
    ];
    for (at, (token, authenticator)) in stacks.into_iter().enumerate() {
        let bearer_first = at < 2;
        let (by_token, by_key) = (("authorization", &*token), ("x-api-key", KEY));
        let (bad_token, bad_key) = (("authorization", "Bearer tpr_no"), ("x-api-key", "no"));
        let basic = ("authorization", "Basic dXNlcjpwYXNz");
        // Whose credential decides where both are sent is a matter of the order.
        let both_bad_key = if bearer_first { 200 } else { 401 };
        let bad_token_both = if bearer_first { 401 } else { 200 };
        let cases: [(&[(&str, &str)], u16); 9] = [
            (&[by_token], 200),
            (&[by_key], 200),
            (&[by_token, by_key], 200),
            (&[basic, by_key], 200),
            (&[], 401),
            (&[bad_token], 401),
            (&[bad_key], 401),
            (&[by_token, bad_key], both_bad_key),
            (&[bad_token, by_key], bad_token_both),
        ];
        for (headers, status) in cases {
            let whoami = Whoami::default();
            let calls = whoami.calls();
            let service = AuthLayer::new(authenticator.clone()).layer(whoami);
            let response = service.oneshot(request(headers)).await.unwrap();
            assert_eq!(response.status(), status, "{at} {headers:?}");
            assert_eq!(calls.load(Ordering::Relaxed), usize::from(status == 200));
            if headers.is_empty() {
                let mut challenges = challenges(&response);
                challenges.sort_unstable();
                assert!(
                    challenges.contains(&"Bearer realm=\"plugins\""),
                    "{challenges:?}"
                );
            }
        }
    }
}

/// F06: with two valid credentials, and a handler that fails, the reference ran the handler twice: as the one
/// caller and then as the other.
#[tokio::test]
async fn f06_two_credentials_and_a_handler_that_fails_are_one_call() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let token = bearer(&issued);
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let handler = {
        let calls = calls.clone();
        service_fn(move |request: Request<Body>| {
            calls.fetch_add(1, Ordering::Relaxed);
            let caller = request.extensions().get::<Principal>().unwrap();
            let error = std::io::Error::other(caller.subject().to_owned());
            std::future::ready(Err::<Response<Body>, _>(error))
        })
    };
    let list = FirstOf::builder()
        .or(BearerAuthenticator::new(tokens))
        .or(api_keys());
    let service = AuthLayer::new(list.build().unwrap()).layer(handler);
    let sent = request(&[("authorization", &token), ("x-api-key", KEY)]);
    let error = service.oneshot(sent).await.unwrap_err();
    assert_eq!(error.to_string(), issued.principal().subject());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_schemes_of_all_are_named_once_each() {
    let tokens = memory_tokens(&ManualClock::new());
    let list = FirstOf::builder()
        .or(BearerAuthenticator::new(tokens.clone()))
        .or(api_keys())
        .or(BearerAuthenticator::new(tokens));
    let service = AuthLayer::new(list.build().unwrap()).layer(Whoami::default());
    let response = service.clone().oneshot(request(&[])).await.unwrap();
    let bare = ["Bearer realm=\"plugins\"", "ApiKey realm=\"plugins\""];
    assert_eq!(challenges(&response), bare);

    // An error code is one of Bearer's, and stands beside no other scheme.
    let sent = request(&[("authorization", "Bearer no")]);
    let response = service.oneshot(sent).await.unwrap();
    let invalid = ["Bearer realm=\"plugins\", error=\"invalid_token\"", bare[1]];
    assert_eq!(challenges(&response), invalid);
}

/// Down is not unauthorised, whatever another authenticator would say; and a store is asked only about
/// what is its own.
#[tokio::test]
async fn a_store_that_is_down_is_not_made_up_for() {
    let clock = ManualClock::new();
    let token = bearer(&issue(&memory_tokens(&clock)).await);
    let down = BearerAuthenticator::new(tokens(Down(None), &clock));
    let list = FirstOf::builder().or(down).or(api_keys()).build().unwrap();
    let service = AuthLayer::optional(list).layer(Whoami::default());
    for (headers, status) in [
        (vec![("authorization", &*token)], 503),
        (vec![("authorization", &*token), ("x-api-key", KEY)], 503),
        (vec![("x-api-key", KEY)], 200),
        (vec![], 200),
    ] {
        let response = service.clone().oneshot(request(&headers)).await.unwrap();
        assert_eq!(response.status(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn optional_lets_nobody_pass_with_a_bad_credential() {
    let clock = ManualClock::new();
    let fast = memory_tokens(&clock);
    let slow = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let (by_fast, by_slow) = (issue(&fast).await, issue(&slow).await);
    let (unknown_fast, unknown_slow) = (bearer(&by_slow), bearer(&by_fast));
    let fast = AuthLayer::optional(BearerAuthenticator::new(fast)).layer(Whoami::default());
    let slow = AuthLayer::optional(BearerAuthenticator::new(slow)).layer(Whoami::default());

    let answer = async |response: Response<_>| match response.status() {
        StatusCode::OK => text(response).await,
        status => status.as_str().to_owned(),
    };
    let subjects = [by_fast.principal().subject(), by_slow.principal().subject()];
    let right = [bearer(&by_fast), bearer(&by_slow)];
    let unknown = [unknown_fast, unknown_slow];
    for at in 0..2 {
        for (headers, expected) in [
            (vec![], "nobody"),
            (vec![("authorization", &*right[at])], subjects[at]),
            (vec![("authorization", "Basic dXNlcjpwYXNz")], "nobody"),
            (vec![("authorization", "Bearer")], "401"),
            (vec![("authorization", "Bearer tpr_no")], "401"),
            (vec![("authorization", &*unknown[at])], "401"),
            (vec![("authorization", &*right[at]); 2], "400"),
        ] {
            let mut sent = request(&headers);
            // Known further out is not known here.
            sent.extensions_mut()
                .insert(Principal::new("test", "outer"));
            let response = if at == 0 {
                fast.clone().oneshot(sent).await
            } else {
                slow.clone().oneshot(sent).await
            };
            assert_eq!(
                answer(response.unwrap()).await,
                expected,
                "{at} {headers:?}"
            );
        }
    }
}

/// An authenticator that says only after a while that there was no credential.
#[tokio::test]
async fn optional_waits_for_the_answer_that_there_is_no_credential() {
    let later = from_async_fn(|_| async {
        tokio::task::yield_now().await;
        Err(AuthError::Missing)
    });
    let mut service = AuthLayer::optional(later).layer(Whoami::default());
    let mut sent = request(&[]);
    sent.extensions_mut()
        .insert(Principal::new("test", "outer"));
    let response = service.ready().await.unwrap().call(sent).await.unwrap();
    assert_eq!(text(response).await, "nobody");
}

#[tokio::test]
async fn every_credential_header_is_marked_sensitive() {
    let show = service_fn(async |request: Request<Body>| {
        let headers = format!("{:?}", request.headers());
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(headers)))
    });
    let tokens = memory_tokens(&ManualClock::new());
    let token = bearer(&issue(&tokens).await);
    let list = FirstOf::builder()
        .or(api_keys())
        .or(BearerAuthenticator::new(tokens));
    let service = AuthLayer::new(list.build().unwrap()).layer(show);
    let sent = request(&[("x-api-key", KEY), ("authorization", &token)]);
    let shown = text(service.oneshot(sent).await.unwrap()).await;
    assert_eq!(shown.matches("Sensitive").count(), 2, "{shown}");
    assert!(
        !shown.contains(KEY) && !shown.contains(&token[7..]),
        "{shown}"
    );
}

#[cfg(feature = "deadline")]
mod deadline {
    use std::{
        future::pending,
        sync::{Arc, atomic::AtomicUsize},
        time::Duration,
    };

    use http::header::RETRY_AFTER;
    use tower_plugin_auth::authenticate::Deadline;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_long_is_503_and_no_challenge() {
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let hangs = {
            let dropped = Arc::clone(&dropped);
            from_async_fn(move |_| {
                let counted = Counted(Arc::clone(&dropped));
                async move {
                    let _counted = counted;
                    pending().await
                }
            })
        };
        let limit = Duration::from_millis(250);
        let whoami = Whoami::default();
        let calls = whoami.calls();
        let service = AuthLayer::optional(Deadline::new(hangs, limit).unwrap()).layer(whoami);

        let asked = tokio::time::Instant::now();
        let response = service.clone().oneshot(request(&[])).await.unwrap();
        assert_eq!(asked.elapsed(), limit);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "it goes on somewhere");

        let grpc = request(&[("content-type", "application/grpc")]);
        let response = service.oneshot(grpc).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "14");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_answers_in_time_is_believed() {
        let clock = ManualClock::new();
        let slow = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
        let token = bearer(&issue(&slow).await);
        let limit = Duration::from_secs(1);
        let in_time = Deadline::new(BearerAuthenticator::new(slow), limit).unwrap();
        let service = AuthLayer::new(in_time).layer(Whoami::default());
        for (token, status) in [(&*token, 200), ("Bearer no", 401)] {
            let sent = request(&[("authorization", token)]);
            let response = service.clone().oneshot(sent).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }

    #[test]
    fn a_deadline_outside_its_range_is_a_build_error() {
        for limit in [
            Duration::ZERO,
            Duration::from_micros(999),
            Duration::from_secs(61),
        ] {
            let error = Deadline::new(api_keys(), limit).unwrap_err();
            assert_eq!(
                error.to_string(),
                "deadline must be between 1 millisecond and 1 minute"
            );
        }
    }
}

#[test]
fn a_scheme_that_no_header_can_hold_is_a_build_error() {
    for scheme in ["", "To ken", "T\"", &"t".repeat(33)] {
        assert!(
            CredentialHeader::bearer().with_scheme(scheme).is_err(),
            "{scheme}"
        );
    }
}

/// An authenticator of one's own may name any scheme; what is none is not put into a header.
#[tokio::test]
async fn a_scheme_that_is_none_is_left_out_of_the_challenge() {
    #[derive(Clone)]
    struct Odd(Vec<&'static str>);
    impl Authenticator for Odd {
        type Future = std::future::Ready<Result<Principal, AuthError>>;
        fn authenticate(
            &self,
            _: &RequestHead<'_>,
        ) -> Answer<Result<Principal, AuthError>, Self::Future> {
            Answer::Ready(Err(AuthError::Invalid(InvalidReason::Unknown)))
        }
        fn schemes(&self) -> Vec<std::borrow::Cow<'static, str>> {
            self.0.iter().copied().map(Into::into).collect()
        }
    }
    for (schemes, expected) in [
        (vec!["A\r\nb", "Custom", ""], "Custom realm=\"plugins\""),
        (
            vec!["\n"],
            "Bearer realm=\"plugins\", error=\"invalid_token\"",
        ),
        (vec![], "Bearer realm=\"plugins\", error=\"invalid_token\""),
    ] {
        let service = AuthLayer::new(Odd(schemes)).layer(Whoami::default());
        let response = service.oneshot(request(&[])).await.unwrap();
        assert_eq!(challenges(&response), [expected]);
    }
}
