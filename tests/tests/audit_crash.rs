//! An audit log whose writer is killed, again and again.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tower_plugin_auth::{
    audit::{FileSink, Report, Verifier},
    token::{KeyRing, Pepper},
};

/// What was flushed is there; what is there is intact; and the log goes on.
#[test]
fn a_killed_writer_loses_nothing_that_was_flushed() {
    let directory = tempfile::TempDir::new().unwrap();
    let log = directory.path().join("audit");
    let mut expected = 0;
    for round in 1..=5 {
        let mut writer = Command::new(env!("CARGO_BIN_EXE_audit-writer"))
            .arg(&log)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut flushed = 0_u64;
        // In the middle of what comes after the last of these.
        for line in lines.take(round) {
            flushed = line.unwrap().parse().unwrap();
        }
        assert!(flushed > 0, "the writer did not start");
        writer.kill().unwrap();
        writer.wait().unwrap();

        let report = verify(&log);
        assert!(report.is_intact(), "{:?}", report.findings());
        let events = events(directory.path());
        let kept = events.len() as u64 - expected;
        assert!(kept >= flushed, "{kept} of {flushed}");
        // Of each run, from the first on and without a gap.
        for (index, resource) in events[usize::try_from(expected).unwrap()..]
            .iter()
            .enumerate()
        {
            assert_eq!(*resource, format!("/{index}"));
        }
        expected = events.len() as u64;
    }
    let keys = KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap();
    drop(FileSink::builder(&log, keys).open().unwrap());
    let report = verify(&log);
    assert!(report.is_intact() && !report.is_being_written());
    assert!(report.files() > 1, "several files");
}

fn verify(log: &Path) -> Report {
    let keys = KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap();
    Verifier::new(&keys).log(log).unwrap()
}

/// The resources of the events in whole lines, in order.
fn events(directory: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    let mut events = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(resource) = line.get("resource") {
                events.push(resource.as_str().unwrap().to_owned());
            }
        }
    }
    events
}
