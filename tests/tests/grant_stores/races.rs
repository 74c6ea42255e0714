use super::*;

/// Sixty-four at a time, on two replicas, for ten uses: the capability is called ten times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_so_many_pass_as_may() {
    let (stores, _server) = stores(100).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        let ten = request_by("a", "files").with_max_uses(limit(10));
        let ten = here.request(ten).await.unwrap();
        race(&here, &there, ten.token(), 10).await;

        // The same for a limit that was set offline.
        let plain = granted(&here, "a", "files").await;
        let seven = plain.token().attenuate(&Caveat::max_uses(7).unwrap());
        race(&here, &there, &seven.unwrap(), 7).await;
    }
}

async fn race(here: &Broker, there: &Broker, token: &GrantToken, may: usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let racers: Vec<_> = (0..64)
        .map(|number| {
            let broker = if number % 2 == 0 { here } else { there };
            let call = service(broker, &calls).oneshot(request("files", token));
            tokio::spawn(async move {
                let response = call.await.unwrap();
                let reason = response.extensions().get::<DenialReason>().copied();
                (response.status().is_success(), reason)
            })
        })
        .collect();
    let mut passed = 0;
    for racer in racers {
        match racer.await.unwrap() {
            (true, None) => passed += 1,
            (false, Some(DenialReason::UsedUp)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((passed, calls.load(SeqCst)), (may, may));
}

/// A use and a revocation at the same time: whatever comes first, nothing passes after both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_passes_once_a_revocation_has_answered() {
    let (stores, _server) = stores(100).await;
    for [here, there] in stores {
        let clock = ManualClock::new();
        let (here, there) = (broker(here, &clock), broker(there, &clock));
        for _ in 0..20 {
            let many = request_by("a", "files").with_max_uses(limit(1000));
            let issued = here.request(many).await.unwrap();
            let calls = Arc::new(AtomicUsize::new(0));
            let users: Vec<_> = (0..8)
                .map(|_| {
                    let call = service(&there, &calls).oneshot(request("files", issued.token()));
                    tokio::spawn(call)
                })
                .collect();
            assert!(here.revoke(&issued.token().id()).await.unwrap());
            let unknown = Some(DenialReason::Unknown);
            assert_eq!(present(&there, "files", issued.token()).await, unknown);
            for user in users {
                user.await.unwrap().unwrap();
            }
        }
    }
}
