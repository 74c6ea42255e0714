//! Four processes and one real Redis: together they admit what one would.
//!
//! `PROCESSES_SECONDS` makes it longer.

use std::{
    env,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tokio::time::Instant;
use tower_plugin_ratelimit::Quota;
use tower_plugin_tests::{
    redis::RedisServer,
    windows::{Admission, excess},
};

const PROCESSES: usize = 4;
const QUOTA: &str = "1000/s:500";

#[tokio::test]
async fn processes_that_ask_admit_what_one_would() {
    assert_processes_share_a_quota("exact").await;
}

#[tokio::test]
async fn processes_that_lease_admit_what_one_would() {
    assert_processes_share_a_quota("leased").await;
}

async fn assert_processes_share_a_quota(mode: &str) {
    let seconds = env::var("PROCESSES_SECONDS").map_or(3, |seconds| seconds.parse().unwrap());
    let server = RedisServer::start().await;
    let quota: Quota = QUOTA.parse().unwrap();
    let start = Instant::now();
    let admitted = run(&server.url(), mode, Duration::from_secs(seconds));
    let took = start.elapsed().as_secs_f64();
    let each = admitted.each_ref().map(Vec::len);
    let admissions = admitted.concat();

    let worst = excess(&admissions, &quota);
    let busiest = busiest_second(&admissions);
    println!("{mode}: {each:?}, {busiest} in a second, {worst:.1} in the worst window");
    // No time on the way is allowed for: an admission counts in the windows that hold both the time
    // before it was asked for and the time after it was answered. See `excess`.
    assert!(worst <= 0.0, "{worst} units too many");
    // The burst and what comes back in a second, and half a unit that the clocks may differ by.
    assert!(busiest <= 1_500, "{busiest} in a second");

    // It is a limit that was reached, and by all of them.
    let total = admissions.len() as f64;
    assert!(total <= 500.0 + 1_000.0 * took + 1.0, "{total} in {took} s");
    let expected = 0.9 * (500.0 + 1_000.0 * seconds as f64);
    assert!(total >= expected, "{total}, not {expected}");
    for one in each {
        assert!(one as f64 >= total / 40.0, "{each:?}");
    }
}

fn run(url: &str, mode: &str, duration: Duration) -> [Vec<Admission>; PROCESSES] {
    let millis = duration.as_millis().to_string();
    let spawn = |_| {
        Command::new(env!("CARGO_BIN_EXE_admitting-replica"))
            .args([url, mode, QUOTA, &millis])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process")
    };
    let children: [_; PROCESSES] = std::array::from_fn(spawn);
    // Each pipe is read by a thread of its own: who cannot write cannot end.
    let outputs = children.map(|child| thread::spawn(|| child.wait_with_output()));
    outputs.map(|output| {
        let output = output.join().unwrap().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let admission = |line: &str| {
            let (before, after) = line.split_once(' ').unwrap();
            Admission {
                before: before.parse().unwrap(),
                after: after.parse().unwrap(),
                units: 1,
            }
        };
        text.lines().map(admission).collect()
    })
}

/// The most that was surely admitted within one second.
fn busiest_second(admissions: &[Admission]) -> usize {
    let mut ends: Vec<_> = admissions.iter().map(|one| one.after).collect();
    ends.sort_unstable();
    let within = |end: u64| {
        let start = end.saturating_sub(1_000_000_000);
        let within = admissions.iter();
        within
            .filter(|one| one.before >= start && one.after <= end)
            .count()
    };
    // Ends a few milliseconds apart would do; every tenth admission is about that.
    ends.iter()
        .step_by(10)
        .map(|&end| within(end))
        .max()
        .unwrap_or(0)
}
