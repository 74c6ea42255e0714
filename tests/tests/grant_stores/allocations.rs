//! What a check takes from the heap where the store is memory.

use std::hint::black_box;

use futures_util::FutureExt;
use tower_plugin_auth::{
    Clock,
    audit::{self, AuditEvent},
    grant::{Asked, GrantRecord, PresentedGrant, check, mint},
};

use super::*;

#[test]
fn a_check_allocates_once_for_the_token_however_many_caveats_it_has() {
    let clock = ManualClock::new();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(&keys, &SystemRng).unwrap();
    let owner = Principal::new("runtime", "a");
    let until = clock.wall() + Duration::from_secs(60);
    let record = GrantRecord::new(&minted, owner.clone(), "files", clock.wall(), until)
        .with_permission("* /**".parse().unwrap());
    let caveats = [
        Caveat::path_prefix("/a").unwrap(),
        Caveat::methods(["GET", "HEAD"]).unwrap(),
        Caveat::not_after(until).unwrap(),
    ];
    for count in 0..=caveats.len() {
        let mut text = minted.token().expose().to_owned();
        for caveat in &caveats[..count] {
            let token = GrantToken::parse(&text).unwrap();
            text = token.attenuate(caveat).unwrap().expose().to_owned();
        }
        let asked = Asked::new("files", "GET", "/a/b", clock.wall()).with_principal(Some(&owner));
        let mut is_good = false;
        let counted = allocation_counter::measure(|| {
            let presented = PresentedGrant::parse(black_box(text.as_bytes()));
            let verdict = check(&keys, &presented.unwrap(), Some(&record), &asked);
            is_good = verdict.is_ok();
        });
        assert!(is_good);
        assert_eq!(counted.count_total, 1, "{count} caveats");
    }
    let counted = allocation_counter::measure(|| {
        black_box(PresentedGrant::parse(black_box(b"tpg_garbage")).is_err());
    });
    assert_eq!(counted.count_total, 0);
}

/// The token, the new address, and the grant in the extensions.
#[tokio::test]
async fn a_request_through_the_layer_allocates_for_what_it_hands_on() {
    let clock = ManualClock::new();
    let store = MemoryGrantStore::new(10).unwrap();
    let broker = broker(SharedGrantStore::new(store), &clock);
    let issued = granted(&broker, "a", "files").await;
    let count = allocations(broker, issued.token());
    assert!(count <= 6, "{count}");
}

/// Whether nobody is told, or somebody who does not write it down.
#[tokio::test]
async fn a_use_that_is_not_written_down_allocates_nothing_for_that() {
    let clock = ManualClock::new();
    let store = SharedGrantStore::new(MemoryGrantStore::new(10).unwrap());
    let unobserved = broker(store.clone(), &clock);
    let issued = granted(&unobserved, "a", "files").await;
    let sink = |event: &AuditEvent<'_>| panic!("{event:?}");
    let observed = CapabilityBroker::builder(store, keys())
        .with_clock(clock)
        .with_observer(audit::grants(sink))
        .build()
        .unwrap();
    let count = allocations(unobserved, issued.token());
    assert_eq!(allocations(observed, issued.token()), count);
}

/// How often one request through the layer asks for memory, once all is warm.
fn allocations(broker: Broker, token: &GrantToken) -> u64 {
    let mut service = CapabilityLayer::new(broker).layer(service_fn(|request: Request<()>| {
        black_box(&request);
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    let mut call = |request| {
        let response = service.call(request).now_or_never();
        assert!(response.unwrap().unwrap().status().is_success());
    };
    call(request("files", token));
    let mut request = Some(request("files", token));
    allocation_counter::measure(|| call(request.take().unwrap())).count_total
}
