//! A replica that asks for more than the quota allows and writes down what was admitted, one line
//! each: nanoseconds of `CLOCK_MONOTONIC` before and after.
//!
//! Arguments: the server, `exact` or `leased`, the quota, and for how many milliseconds.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_plugin_ratelimit::{
    Cost, Policy,
    redis::{OnUnavailable, RedisLimiter},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, mode, quota, millis] = args.as_slice() else {
        return Err("URL exact|leased QUOTA MILLISECONDS".into());
    };
    let policy = Policy::new("processes", [quota.parse()?])?;
    let builder = RedisLimiter::builder(url);
    let builder = match mode.as_str() {
        "exact" => builder,
        "leased" => builder.with_leases(10),
        _ => return Err("exact or leased".into()),
    };
    let limiter = builder
        .with_deadline(Duration::from_secs(5))
        .with_on_unavailable(OnUnavailable::Deny)
        .build()?;
    limiter.connected().await?;
    let end = Instant::now() + Duration::from_millis(millis.parse()?);

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (limiter, policy) = (limiter.clone(), policy.clone());
        callers.spawn(async move {
            let mut admitted = Vec::new();
            while Instant::now() < end {
                let before = now();
                let decision = limiter.check_key(&policy, "key", Cost::ONE).await;
                let after = now();
                match decision {
                    Ok(decision) if decision.is_allowed() => admitted.push((before, after)),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
                sleep(PAUSE).await;
            }
            Ok(admitted)
        });
    }
    let mut lines = String::new();
    while let Some(admitted) = callers.join_next().await {
        for (before, after) in admitted?? {
            lines += &format!("{before} {after}\n");
        }
    }
    stdout().write_all(lines.as_bytes())?;
    eprintln!("{:?}", limiter.stats());
    Ok(())
}

/// The same clock in every process of a machine.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

const CALLERS: usize = 8;
/// So that there is time for the others, on a machine with few cores.
const PAUSE: Duration = Duration::from_millis(2);
