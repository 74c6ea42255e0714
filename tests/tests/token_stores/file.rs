//! The store in an encrypted file, also when its process is killed.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tower_plugin_auth::{
    Answer, TokenStore,
    store::{EncryptedFileStore, EncryptedFileStoreBuilder, FileKey, FileKeyRing, Revocation},
};

use crate::support::{id, minute, record};

crate::suite::conformance!(
    alone,
    |capacity: usize| async move {
        let directory = TempDir::new().unwrap();
        let builder = builder(&directory.path().join("tokens"));
        (builder.with_capacity(capacity).create().unwrap(), directory)
    },
    // Each insert writes the whole file, and a revocation is one write whatever it covers.
    many = 100
);

fn builder(path: &Path) -> EncryptedFileStoreBuilder {
    let keys = FileKeyRing::new(FileKey::new(1, &[7; 32]).unwrap(), []).unwrap();
    EncryptedFileStore::builder(path, keys).with_label("tests")
}

fn has(store: &EncryptedFileStore, number: u128) -> bool {
    match store.get(&id(number)) {
        Answer::Ready(found) => found.unwrap().is_some(),
        Answer::Pending(_) => panic!("answered from memory"),
    }
}

/// A child process changes the store as fast as it can and says what it has been told is done. It is
/// killed at any moment: all that it has said is on disk, and at most one change that it has not.
#[test]
fn a_process_killed_at_any_moment_leaves_what_it_was_promised() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tokens");
    drop(builder(&path).create().unwrap());
    let mut there = BTreeSet::new();
    let (mut next, mut changes) = (0, 0);
    for round in 0..40_usize {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["file::changes_until_it_is_killed", "--exact", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(PATH, &path)
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // When it has done so many changes, and at some moment of the next, which takes a millisecond
        // or several.
        for line in lines
            .by_ref()
            .map(Result::unwrap)
            .filter(|line| is_change(line))
            .take(1 + round % 4)
        {
            apply(&line, &mut there);
            changes += 1;
        }
        spin(Duration::from_micros(237 * round as u64 % 4000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map(Result::unwrap).filter(|line| is_change(line)) {
            apply(&line, &mut there);
        }

        let store = builder(&path).open().unwrap();
        let found: BTreeSet<_> = (0..next + 1000)
            .filter(|number| has(&store, *number))
            .collect();
        let unsaid: Vec<_> = found.symmetric_difference(&there).collect();
        assert!(unsaid.len() <= 1, "round {round}: {unsaid:?}");
        next = found
            .union(&there)
            .last()
            .map_or(next, |last| next.max(last + 1));
        there = found;
    }
    assert_eq!(changes, 10 * (1 + 2 + 3 + 4));
}

fn is_change(line: &str) -> bool {
    line.starts_with("+ ") || line.starts_with("- ")
}

fn apply(line: &str, there: &mut BTreeSet<u128>) {
    let (sign, number) = line.split_once(' ').unwrap();
    let number = number.parse().unwrap();
    match sign {
        "+" => there.insert(number),
        _ => there.remove(&number),
    };
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn changes_until_it_is_killed() {
    let path = PathBuf::from(env::var_os(PATH).expect("a path"));
    let first: u128 = env::var(FIRST).unwrap().parse().unwrap();
    let store = builder(&path).open().unwrap();
    // The test runner has begun a line.
    println!();
    let say = |line: String| {
        // One write, so that no half line is said.
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    };
    for number in first.. {
        store.insert(record(number), minute(0)).await.unwrap();
        say(format!("+ {number}\n"));
        if number % 3 > 0 && number > first {
            let gone = [id(number - 1)];
            if store.revoke(Revocation::Tokens(&gone)).await.unwrap() == 1 {
                say(format!("- {}\n", number - 1));
            }
        }
    }
}

/// Waits, without sleeping.
fn spin(pause: Duration) {
    use tower_plugin_auth::{Clock, SystemClock};
    let clock = SystemClock::new();
    let until = clock.monotonic_nanos() + u64::try_from(pause.as_nanos()).unwrap();
    while clock.monotonic_nanos() < until {
        std::hint::spin_loop();
    }
}

const PATH: &str = "TOWER_PLUGIN_TEST_STORE";
const FIRST: &str = "TOWER_PLUGIN_TEST_FIRST";
