//! One limit for many replicas, on a real Redis.

use std::time::Duration;

use tower_plugin_ratelimit::{
    Cost, Decision, Now, Operation, Policy, Verdict,
    redis::{OnUnavailable, RedisLimiter, RedisLimiterBuilder},
};
use tower_plugin_tests::redis::RedisServer;

fn policy(quotas: &[&str]) -> Policy {
    Policy::new("api", quotas.iter().map(|text| text.parse().unwrap())).unwrap()
}

/// No test here is about time that passes while its commands are on their way.
fn patient(server: &RedisServer) -> RedisLimiterBuilder {
    RedisLimiter::builder(server.url())
        .with_deadline(Duration::from_secs(10))
        .with_on_unavailable(OnUnavailable::Deny)
}

async fn check(limiter: &RedisLimiter, policy: &Policy, key: &str, cost: u32) -> Decision {
    let cost = Cost::new(cost).unwrap();
    limiter.check_key(policy, key, cost).await.unwrap()
}

#[tokio::test]
async fn replicas_share_a_quota_and_policies_do_not() {
    let server = RedisServer::start().await;
    let replicas = [(); 3].map(|()| patient(&server).build().unwrap());
    let (api, other) = (policy(&["10/h"]), policy(&["11/h"]));
    for n in 0..10_u32 {
        let decision = check(&replicas[n as usize % 3], &api, "tenant", 1).await;
        assert!(decision.is_allowed(), "request {n}");
        assert_eq!(decision.remaining(), 9 - n);
        assert_eq!(decision.limit(), 10);
    }
    for replica in &replicas {
        let denied = check(replica, &api, "tenant", 1).await;
        let Verdict::Deny { retry_after } = denied.verdict() else {
            panic!("{denied:?}");
        };
        assert!(retry_after <= Duration::from_secs(360), "{retry_after:?}");
        assert!(retry_after > Duration::from_secs(300), "{retry_after:?}");
        assert!(check(replica, &api, "another", 1).await.is_allowed());
        assert!(check(replica, &other, "tenant", 1).await.is_allowed());
    }
}

#[tokio::test]
async fn all_quotas_of_a_policy_are_charged_or_none() {
    let server = RedisServer::start().await;
    let limiter = patient(&server).build().unwrap();
    let both = policy(&["5/h", "8/d"]);
    assert!(check(&limiter, &both, "k", 4).await.is_allowed());
    let denied = check(&limiter, &both, "k", 2).await;
    assert_eq!((denied.is_allowed(), denied.quota_index()), (false, 0));
    // Nothing was debited from the day's.
    let peek = Operation::Peek(Cost::ONE);
    let left = limiter.apply_key(&both, "k", peek).await.unwrap();
    assert_eq!(left.remaining(), 1);
}

#[tokio::test]
async fn a_cost_that_never_fits_is_refused_without_asking() {
    let server = RedisServer::start().await;
    let limiter = patient(&server).build().unwrap();
    let denied = check(&limiter, &policy(&["5/s", "100/s"]), "k", 6).await;
    assert_eq!(denied.verdict(), Verdict::CostExceedsBurst);
    assert_eq!(denied.quota_index(), 0);
    assert_eq!(limiter.stats().batches, 0);
}

#[tokio::test]
async fn what_is_taken_back_can_be_spent_again_by_any_replica() {
    let server = RedisServer::start().await;
    let [one, two] = [(); 2].map(|()| patient(&server).build().unwrap());
    let daily = policy(&["5/d"]);
    let all = check(&one, &daily, "k", 5).await;
    let refund = |debited_at| Operation::Refund {
        cost: Cost::new(3).unwrap(),
        debited_at,
    };
    let refunded = one.apply_key(&daily, "k", refund(all.made_at())).await;
    assert_eq!(refunded.unwrap().remaining(), 3);
    assert!(check(&two, &daily, "k", 2).await.is_allowed());
    // What drained since a long time ago is not credited.
    let refunded = two.apply_key(&daily, "k", refund(Now::default())).await;
    assert_eq!(refunded.unwrap().remaining(), 1);
    assert!(!check(&two, &daily, "k", 2).await.is_allowed());
    let reset = two.apply_key(&daily, "k", Operation::Reset).await;
    assert_eq!(reset.unwrap().remaining(), 5);
    assert!(check(&two, &daily, "k", 5).await.is_allowed());
}

#[tokio::test]
async fn what_waits_together_goes_together() {
    let server = RedisServer::start().await;
    let limiter = patient(&server).with_lanes(1).build().unwrap();
    limiter.connected().await.unwrap();
    let hourly = policy(&["100/h"]);
    let mut waiting = Vec::new();
    for n in 0..150 {
        let cost = Cost::new(1 + n % 2).unwrap();
        waiting.push(limiter.check_key(&hourly, "hot", cost));
    }
    let mut spent = 0;
    for (n, decision) in waiting.into_iter().enumerate() {
        if decision.await.unwrap().is_allowed() {
            spent += 1 + n as u32 % 2;
        }
    }
    assert_eq!(spent, 100);
    let stats = limiter.stats();
    assert_eq!(stats.asked, 150);
    assert!(stats.batches <= 2, "{stats:?}");
}

#[tokio::test]
async fn who_gives_up_before_the_batch_is_sent_pays_nothing() {
    let server = RedisServer::start().await;
    let limiter = patient(&server).with_lanes(1).build().unwrap();
    let hourly = policy(&["10/h"]);
    // Nothing is sent before this task yields.
    for _ in 0..5 {
        drop(limiter.check_key(&hourly, "k", Cost::ONE));
    }
    assert_eq!(check(&limiter, &hourly, "k", 1).await.remaining(), 9);
}

#[tokio::test]
async fn a_flood_of_a_denied_key_costs_redis_nothing() {
    let server = RedisServer::start().await;
    let limiter = patient(&server).build().unwrap();
    let hourly = policy(&["1/h"]);
    assert!(check(&limiter, &hourly, "k", 1).await.is_allowed());
    server.cli(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..1_000 {
        assert!(!check(&limiter, &hourly, "k", 1).await.is_allowed());
    }
    assert_eq!(server.calls("evalsha").await, 1);
    assert_eq!(limiter.stats().denied_locally, 999);
}

#[tokio::test]
async fn leases_let_a_replica_decide_by_itself() {
    let server = RedisServer::start().await;
    let [one, two] = [(); 2].map(|()| patient(&server).with_leases(10).build().unwrap());
    let policy = policy(&["10000/h"]);
    let mut admitted = 0_u64;
    // 1,000 of 10,000 are kept for leases, and so many may be out on lease in the end.
    for _ in 0..4_500 {
        admitted += u64::from(check(&one, &policy, "hot", 1).await.is_allowed());
        admitted += u64::from(check(&two, &policy, "hot", 1).await.is_allowed());
    }
    assert!(admitted >= 8_000, "{admitted}");
    let local = one.stats().allowed_locally + two.stats().allowed_locally;
    assert!(local * 10 >= 9 * admitted, "{local} decided without Redis");
    for _ in 0..2_000 {
        admitted += u64::from(check(&one, &policy, "hot", 1).await.is_allowed());
        admitted += u64::from(check(&two, &policy, "hot", 1).await.is_allowed());
    }
    assert!(admitted <= 10_000 + 30, "{admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_unix_socket_serves_as_well() {
    let server = RedisServer::start_on_socket(&[]).await;
    let limiter = patient(&server).build().unwrap();
    limiter.connected().await.unwrap();
    assert!(
        check(&limiter, &policy(&["1/h"]), "k", 1)
            .await
            .is_allowed()
    );
    assert!(
        !check(&limiter, &policy(&["1/h"]), "k", 1)
            .await
            .is_allowed()
    );
}
