use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_core::{Clock, ManualClock, Principal};

use super::*;
use crate::token::EXPIRES_AT;

/// What a caller is told who has so many seconds left.
async fn hint(principal: Option<Principal>, clock: &ManualClock) -> Option<String> {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let mut request = Request::new(());
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    let layer = RefreshHintLayer::new().with_clock(clock.clone());
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let hint = response.headers().get(EXPIRES_IN)?;
    Some(hint.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_caller_is_told_below_five_minutes() {
    let clock = ManualClock::new();
    let now = clock
        .wall()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    clock.advance(Duration::from_millis(100));
    for (left, told) in [
        (3600, None),
        (301, None),
        (300, Some("299")),
        (60, Some("59")),
        (2, Some("1")),
        (1, Some("1")),
        (0, Some("1")),
    ] {
        let caller = Principal::new("runtime", "a");
        let caller = caller.with_attribute(EXPIRES_AT, (now + left).to_string());
        assert_eq!(hint(Some(caller), &clock).await.as_deref(), told, "{left}");
    }
}

#[tokio::test]
async fn who_has_no_token_of_ours_is_told_nothing() {
    let clock = ManualClock::new();
    assert_eq!(hint(None, &clock).await, None);
    let by_certificate = Principal::new("mtls", "a");
    assert_eq!(hint(Some(by_certificate.clone()), &clock).await, None);
    let odd = by_certificate.with_attribute(EXPIRES_AT, "soon");
    assert_eq!(hint(Some(odd), &clock).await, None);
}
