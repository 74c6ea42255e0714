//! The script and the ledger answer alike and write the same record, on a real server.

use std::{
    cell::RefCell,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    ask::{self, Answer, Ask, Operation},
    ledger::{self, Keep, Record},
    script,
    terms::Terms,
    wire::{
        Batch,
        tests::{record_of_bytes, record_to_bytes},
    },
};
use crate::{Policy, test_cases};

/// A server of this test's own, on a socket in a directory of its own.
struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    fn start(name: &str) -> (Self, redis::Connection) {
        let directory =
            std::env::temp_dir().join(format!("tower-plugin-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let socket = directory.join("redis.sock");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("needs redis-server: apt-get install redis-server");
        let server = Self { process, directory };
        let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
        loop {
            // Another process' start is nothing a clock of ours could wait for.
            if let Ok(connection) = client.get_connection() {
                return (server, connection);
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn run(connection: &mut redis::Connection, batch: &Batch, keys: &[&str]) -> (u64, Vec<Answer>) {
    let answer: Vec<u8> = redis::cmd("EVAL")
        .arg(script::TEXT)
        .arg(keys.len())
        .arg(keys)
        .arg(batch.bytes())
        .query(connection)
        .unwrap();
    batch.answers(&answer).expect("answers of this batch")
}

fn policy(quotas: &[&str]) -> Policy {
    Policy::new("p", quotas.iter().map(|text| text.parse().unwrap())).unwrap()
}

/// Seconds after 2020-01-01, as microseconds.
fn at(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

fn check(cost: u32, times: u32) -> Operation {
    Operation::Check { cost, times }
}

/// Quotas, headroom, then for each step: the second, the operation, how often it fits.
type Vector = (
    &'static [&'static str],
    u8,
    &'static [(f64, Operation, u32)],
);

const fn checks(cost: u32, times: u32) -> Operation {
    Operation::Check { cost, times }
}

const VECTORS: &[Vector] = &[
    // A burst, then one for each tenth of a second.
    (
        &["10/s"],
        0,
        &[
            (1.0, checks(1, 8), 8),
            (1.0, checks(1, 8), 2),
            (1.0, checks(1, 1), 0),
            (1.099_999, checks(1, 1), 0),
            (1.1, checks(1, 1), 1),
            (1.2, Operation::Peek { cost: 1, times: 9 }, 1),
            (1.2, checks(1, 9), 1),
            (99.0, checks(3, 9), 3),
        ],
    ),
    // All quotas or none.
    (
        &["10/s", "15/m"],
        0,
        &[
            (5.0, checks(1, 20), 10),
            (6.0, checks(1, 20), 5),
            (8.0, checks(1, 1), 0),
            (10.0, checks(1, 2), 1),
        ],
    ),
    // Thirds of a second are no whole number of anything.
    (
        &["3/s"],
        0,
        &[
            (1.0, checks(1, 5), 3),
            (1.333_333, checks(1, 1), 0),
            (1.333_334, checks(1, 1), 1),
            (1.666_666, checks(1, 1), 0),
            (1.666_667, checks(1, 1), 1),
            (2.0, checks(1, 1), 1),
        ],
    ),
    // Five in a hundred are kept for leases.
    (
        &["100/s"],
        5,
        &[(1.0, checks(1, 100), 95), (1.05, checks(1, 100), 5)],
    ),
    // What was incurred is debited whether or not it fits; what is taken back has drained meanwhile.
    (
        &["10/s"],
        0,
        &[
            (1.0, checks(1, 10), 10),
            (1.0, Operation::Charge { cost: 4 }, 1),
            (1.0, checks(1, 1), 0),
            (
                1.1,
                Operation::Refund {
                    cost: 5,
                    debited_at: 1_000_000,
                },
                1,
            ),
            (1.1, checks(1, 9), 5),
            (1.1, Operation::Reset, 1),
            (1.1, checks(1, 99), 10),
        ],
    ),
    // A clock that is set back mints nothing, and is felt until a spent quota would be whole again.
    (
        &["10/s"],
        0,
        &[
            (100.0, checks(1, 10), 10),
            (50.0, checks(1, 10), 0),
            (50.5, checks(1, 10), 0),
            (99.5, checks(1, 10), 0),
        ],
    ),
    // 2020-02-29 and the turn of a month: 5,184,000 s after the first of January.
    (
        &["5/utc-month", "3/utc-minute"],
        0,
        &[
            (5_183_999.0, checks(1, 9), 3),
            (5_183_999.5, checks(1, 9), 0),
            (5_184_000.0, checks(1, 9), 3),
            (5_184_060.0, checks(1, 9), 2),
            (5_184_120.0, checks(1, 9), 0),
            (
                5_184_120.0,
                Operation::Refund {
                    cost: 1,
                    debited_at: 5_184_060_000_000,
                },
                1,
            ),
            (5_184_120.0, checks(1, 9), 1),
        ],
    ),
];

#[test]
fn vectors_hold_in_the_ledger_and_in_redis() {
    let (_server, mut redis) = Server::start("vectors");
    for (number, (quotas, headroom, steps)) in VECTORS.iter().enumerate() {
        let terms = Terms::exact(&policy(quotas)).leased(*headroom);
        let key = format!("vector:{number}");
        let mut record = None;
        for (sequence, (seconds, operation, times)) in (1..).zip(*steps) {
            let now = at(*seconds);
            let ask = Ask {
                sequence,
                operations: vec![*operation],
                ..Ask::default()
            };
            let (expected, _) = ledger::apply(&mut record, &terms, 1, &ask, now);
            assert_eq!(expected.results[0].times, *times, "{quotas:?} at {seconds}");

            let mut batch = Batch::new(now, 1);
            batch.push(1, &terms, &ask);
            let (_, answers) = run(&mut redis, &batch, &[&key]);
            assert_eq!(answers, [expected], "{quotas:?} at {seconds} in Redis");
        }
    }
}

#[test]
fn the_server_reads_its_own_clock() {
    let (_server, mut redis) = Server::start("clock");
    let terms = Terms::exact(&policy(&["1/m"]));
    let mut batch = Batch::new(0, 1);
    batch.push(
        1,
        &terms,
        &Ask {
            operations: vec![check(1, 2)],
            ..Ask::default()
        },
    );
    let (now, answers) = run(&mut redis, &batch, &["k"]);
    assert_eq!(answers[0].results[0].times, 1);
    let [seconds, micros]: [u64; 2] = redis::cmd("TIME").query(&mut redis).unwrap();
    let server = (seconds - ask::EPOCH) * 1_000_000 + micros;
    assert!(now <= server && server - now < 60_000_000, "{now} {server}");
    let kept: u64 = redis::cmd("PTTL").arg("k").query(&mut redis).unwrap();
    assert!(kept > 0 && kept <= 60_000, "kept for {kept} ms");
}

#[derive(Clone, Debug)]
struct Step {
    key: usize,
    /// Which of two policies with the same name.
    policy: usize,
    replica: u64,
    ask: Ask,
    advance: i64,
}

fn quota() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (1_u32..200, prop_oneof!["s", "m", "7ms", "d"], 1_u32..200)
            .prop_map(|(count, period, burst)| format!("{count}/{period}:{burst}")),
        1 => (1_u32..50).prop_map(|count| format!("<={count}/s")),
        1 => (1_u32..1_000_000).prop_map(|count| format!("{}/d", count + 999_000)),
        1 => (1_u32..50, prop_oneof!["minute", "hour", "day", "month"])
            .prop_map(|(count, period)| format!("{count}/utc-{period}")),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let cost = 1_u32..12;
    prop_oneof![
        6 => (cost.clone(), 1_u32..40).prop_map(|(cost, times)| Operation::Check { cost, times }),
        1 => (cost.clone(), 1_u32..40).prop_map(|(cost, times)| Operation::Peek { cost, times }),
        1 => cost.clone().prop_map(|cost| Operation::Charge { cost }),
        1 => (cost, 0_u64..3_000_000).prop_map(|(cost, ago)| Operation::Refund { cost, debited_at: ago }),
        1 => Just(Operation::Reset),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (
        0_u64..40,
        (0_u64..40, 0_u32..30),
        0_u32..30,
        prop::collection::vec(operation(), 0..4),
    )
        .prop_map(|(sequence, keep, surplus, operations)| Ask {
            sequence,
            keep,
            surplus,
            operations,
        });
    let advance = prop_oneof![
        2 => Just(0_i64),
        8 => 0_i64..400_000,
        2 => 0_i64..40_000_000_000,
        1 => -3_000_000_i64..0,
    ];
    (0_usize..3, 0_usize..2, 1_u64..4, ask, advance).prop_map(
        |(key, policy, replica, ask, advance)| Step {
            key,
            policy,
            replica,
            ask,
            advance,
        },
    )
}

#[test]
fn the_ledger_and_redis_are_equal() {
    let (_server, redis) = Server::start("equality");
    let redis = RefCell::new(redis);
    let programs = (
        prop::collection::vec(quota(), 1..4),
        prop::collection::vec(quota(), 1..4),
        0_u8..60,
        prop::collection::vec(step(), 1..40),
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(test_cases(400)));
    let outcome = runner.run(&programs, |(first, second, headroom, steps)| {
        run_program(&mut redis.borrow_mut(), &[first, second], headroom, &steps)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn run_program(
    redis: &mut redis::Connection,
    quotas: &[Vec<String>; 2],
    headroom: u8,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let _: () = redis::cmd("FLUSHALL").query(redis).unwrap();
    let terms = quotas.each_ref().map(|quotas| {
        let quotas: Vec<&str> = quotas.iter().map(String::as_str).collect();
        Terms::exact(&policy(&quotas)).leased(headroom)
    });
    let keys = ["a", "b", "c"];
    let mut records: [Option<Record>; 3] = Default::default();
    let mut now: u64 = 50_000_000_000_000;
    for step in steps {
        now = now.saturating_add_signed(step.advance);
        let mut ask = step.ask.clone();
        for operation in &mut ask.operations {
            if let Operation::Refund { debited_at, .. } = operation {
                *debited_at = now - *debited_at;
            }
        }
        let terms = &terms[step.policy];
        let record = &mut records[step.key];
        let before = record.clone();
        let (expected, keep) = ledger::apply(record, terms, step.replica, &ask, now);

        let mut batch = Batch::new(now, step.replica);
        batch.push(7, terms, &ask);
        let key = keys[step.key];
        let (time, answers) = run(redis, &batch, &[key]);
        prop_assert_eq!(time, now);
        prop_assert_eq!(&answers, &[expected]);

        let written: Option<Vec<u8>> = redis::cmd("GET").arg(key).query(redis).unwrap();
        let millis_left: i64 = redis::cmd("PTTL").arg(key).query(redis).unwrap();
        if let Keep::For(millis) = keep {
            prop_assert!(millis_left <= millis as i64, "{millis_left} of {millis} ms");
            if millis < SOON {
                // The server's clock runs on while the test looks: this one may be gone.
                let _: () = redis::cmd("DEL").arg(key).query(redis).unwrap();
                *record = None;
                continue;
            }
            prop_assert!(
                millis_left > (millis - SOON) as i64,
                "{millis_left} of {millis} ms"
            );
            // The time of the test is not the server's.
            let _: () = redis::cmd("PERSIST").arg(key).query(redis).unwrap();
        }
        prop_assert_eq!(written.as_deref().and_then(record_of_bytes), record.clone());
        prop_assert_eq!(written, record.as_ref().map(record_to_bytes));
        match keep {
            Keep::AsItIs => prop_assert_eq!(&before, &*record),
            Keep::For(_) => prop_assert!(record.is_some()),
        }
    }
    Ok(())
}

/// Milliseconds within which the test may not have looked yet.
const SOON: u64 = 2_000;
