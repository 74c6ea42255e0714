//! Everything at once.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower_plugin_ratelimit::{
    Cost, Operation, Policy,
    redis::{OnUnavailable, RedisLimiter},
};
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::RedisServer,
};

use crate::{
    crowd::{DEADLINE, Tasks, assert_recovers, policy, with_mode},
    dice::{Dice, seconds},
};

const CALLERS: usize = 200;

/// What a caller did.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    answered: u64,
    unavailable: u64,
    given_up: u64,
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_callers_and_the_network_do_nobody_hangs_and_nothing_is_left() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let mut dice = Dice::new();
    for leases in [false, true] {
        let tasks = Tasks::now();
        let limiter = with_mode(RedisLimiter::builder(proxy.url()), leases)
            .with_on_unavailable(OnUnavailable::Deny)
            .with_queue(150)
            .with_local_keys(64)
            .build()
            .unwrap();
        let end = Instant::now() + seconds(2);
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(limiter.clone(), policies(), dice.fork(), end));
        }
        while Instant::now() < end {
            disturb(&proxy, &server, &mut dice).await;
            sleep(Duration::from_millis(dice.below(60))).await;
        }
        proxy.set(Faults::default());
        if proxy.counts().is_refusing {
            proxy.accept().await;
        }
        let returned = Instant::now();
        let accounts = timeout(4 * DEADLINE, callers.join_all()).await;
        let accounts = accounts.expect("somebody hangs");
        assert_recovers(&limiter, returned).await;

        let sum = |count: fn(&Account) -> u64| accounts.iter().map(count).sum::<u64>();
        let longest = accounts
            .iter()
            .map(|account| account.longest)
            .max()
            .unwrap();
        let stats = limiter.stats();
        println!(
            "{} answered, {} of them unavailable, {} given up, {longest:?} at most: {stats:?}",
            sum(|account| account.answered),
            sum(|account| account.unavailable),
            sum(|account| account.given_up)
        );
        assert!(longest <= DEADLINE * 6 / 5, "somebody waited {longest:?}");
        assert!(sum(|account| account.answered) > 1_000);
        assert!(sum(|account| account.given_up) > 100);
        assert_eq!(stats.lanes_down, 0);
        assert!(stats.late + stats.overflowed <= stats.unavailable);
        assert!(stats.batches <= stats.batched_keys);
        assert!(stats.longest_batch <= stats.batch_time);
        // Whoever was told so was counted, and those who tried in vain while it recovered.
        assert!(stats.unavailable >= sum(|account| account.unavailable));

        // The queue is empty: as many as it holds find room at once, and are answered.
        let lately = policy("lately", &["1000000/s"]);
        let before = limiter.stats();
        let waiting: Vec<_> = (0..70)
            .map(|key| limiter.apply_key(&lately, key, Operation::Charge(Cost::ONE)))
            .collect();
        for decision in waiting {
            assert!(decision.await.is_ok());
        }
        assert_eq!(limiter.stats().overflowed, before.overflowed);
        drop(limiter);
        tasks.assert_none_left().await;
        proxy.until(|counts| counts.open() == 0).await;
    }
}

fn policies() -> Vec<Policy> {
    vec![
        policy("one", &["200/s:100"]),
        policy("two", &["50/s:30", "1000/m:200"]),
        policy("day", &["500/utc-day"]),
        policy("tiny", &["1/s"]),
    ]
}

async fn call(
    limiter: RedisLimiter,
    policies: Vec<Policy>,
    mut dice: Dice,
    end: Instant,
) -> Account {
    let mut account = Account::default();
    let mut last = None;
    while Instant::now() < end {
        let policy = &policies[dice.below(policies.len() as u64) as usize];
        let key = dice.below(40);
        let cost = Cost::new(1 + dice.below(4) as u32).unwrap();
        let operation = match (dice.below(12), last) {
            (0, _) => Operation::Charge(cost),
            (1, _) => Operation::Peek(cost),
            (2, _) => Operation::Reset,
            (3, Some(debited_at)) => Operation::Refund { cost, debited_at },
            _ => Operation::Check(cost),
        };
        let start = Instant::now();
        let decision = limiter.apply_key(policy, key, operation);
        // Many give up: some at once, some while they are in the queue or under way.
        let patience = match dice.below(6) {
            0 => Some(Duration::ZERO),
            1 => Some(Duration::from_micros(dice.below(5_000))),
            2 => Some(Duration::from_millis(dice.below(100))),
            _ => None,
        };
        let answer = match patience {
            Some(patience) => timeout(patience, decision).await.ok(),
            None => Some(decision.await),
        };
        match answer {
            None => account.given_up += 1,
            Some(answer) => {
                account.answered += 1;
                account.longest = account.longest.max(start.elapsed());
                match answer {
                    Ok(decision) => last = Some(decision.made_at()),
                    Err(_) => account.unavailable += 1,
                }
            }
        }
        sleep(Duration::from_millis(dice.below(20))).await;
    }
    account
}

async fn disturb(proxy: &Proxy, server: &RedisServer, dice: &mut Dice) {
    let some_time = Duration::from_millis(dice.below(120));
    let replies = |replies| Faults {
        replies,
        ..Faults::default()
    };
    match dice.below(10) {
        0 => proxy.set(replies(Replies::Drop)),
        1 => proxy.set(replies(Replies::Reset)),
        2 => proxy.reset().await,
        3 if !proxy.counts().is_refusing => proxy.refuse().await,
        4 => proxy.set(Faults {
            delay_to_client: some_time,
            ..Faults::default()
        }),
        5 => proxy.set(Faults {
            delay_to_server: some_time,
            ..Faults::default()
        }),
        6 => {
            server.cli(&["SCRIPT", "FLUSH"]).await;
        }
        _ => {
            proxy.set(Faults::default());
            if proxy.counts().is_refusing {
                proxy.accept().await;
            }
        }
    }
}
