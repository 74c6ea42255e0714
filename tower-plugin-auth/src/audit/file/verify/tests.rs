use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    audit::{AuditEvent, AuditSink, FileSink, FileSinkBuilder, Outcome},
    token::Pepper,
};

fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap()
}

/// A log of three files of several lines each, and its head.
struct Rig {
    directory: TempDir,
    files: BTreeMap<String, Vec<u8>>,
}

impl Rig {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("audit");
        let builder = FileSink::builder(&path, keys())
            .with_sync(false)
            .with_max_file_len(4096);
        write(builder, 45);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(".jsonl") {
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        assert_eq!(files.len(), 3, "{:?}", files.keys());
        Self { directory, files }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn report(&self) -> Report {
        Verifier::new(&keys()).log(self.path()).unwrap()
    }

    /// The lines of one file, with their ends.
    fn lines(&self, file: usize) -> Vec<Vec<u8>> {
        let bytes = &self.files[&self.name(file)];
        bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn name(&self, file: usize) -> String {
        format!("audit.{:08}.jsonl", file + 1)
    }

    /// The first thing found with this file in place of the one that was written, which then is put back.
    fn found(&self, file: usize, bytes: &[u8]) -> Option<Finding> {
        let path = self.directory.path().join(self.name(file));
        fs::write(&path, bytes).unwrap();
        let report = self.report();
        fs::write(&path, &self.files[&self.name(file)]).unwrap();
        report.findings().first().cloned()
    }

    fn count(&self) -> usize {
        (0..3).map(|file| self.lines(file).len()).sum()
    }
}

fn write(builder: FileSinkBuilder, count: usize) {
    let sink = builder.with_batch(10).open().unwrap();
    for index in 0..count {
        let resource = format!("/{index}");
        let event = AuditEvent::new("authz_fail", Outcome::Denied).with_resource(&resource);
        sink.record(&event);
        // So that no file becomes longer than it may by more than a batch.
        assert!(sink.flush(std::time::Duration::from_secs(10)));
    }
}

#[test]
fn a_log_that_nobody_has_touched_is_intact() {
    let rig = Rig::new();
    let report = rig.report();
    assert!(report.is_intact(), "{:?}", report.findings());
    assert_eq!(report.files(), 3);
    assert_eq!(report.lines(), rig.count() as u64);
    assert_eq!(report.first(), Some(0));
    assert_eq!(report.last(), Some(rig.count() as u64 - 1));
    assert!(!report.is_being_written());
}

#[test]
fn another_key_does_not_pass() {
    let rig = Rig::new();
    let same_version = KeyRing::new(Pepper::new(1, &[2; 32]).unwrap(), []).unwrap();
    let report = Verifier::new(&same_version).log(rig.path()).unwrap();
    let kinds: Vec<_> = report.findings().iter().map(Finding::kind).collect();
    assert_eq!(kinds[0], FindingKind::HeadAltered);
    assert!(kinds[1..].iter().all(|kind| *kind == FindingKind::Altered));
    assert_eq!(report.found(), report.lines() + 1);

    let unknown = KeyRing::new(Pepper::new(2, &[1; 32]).unwrap(), []).unwrap();
    let report = Verifier::new(&unknown).log(rig.path()).unwrap();
    assert_eq!(report.findings()[1].kind(), FindingKind::UnknownKey(1));
}

/// G08: rows of the reference's audit table could be overwritten, and nobody could tell.
#[test]
fn g08_every_line_removed_moved_or_repeated_is_found_where_it_was() {
    let rig = Rig::new();
    let mut number = 0;
    for file in 0..3 {
        let lines = rig.lines(file);
        for at in 0..lines.len() {
            let is_last = file == 2 && at + 1 == lines.len();
            let line = at as u64 + 1;

            let mut removed = lines.clone();
            removed.remove(at);
            let finding = rig.found(file, &removed.concat()).unwrap();
            match (at, is_last) {
                // Another line is the first of the file now, and it is not meant to be.
                (0, _) => assert_eq!(finding.kind, FindingKind::Misplaced, "{finding}"),
                (_, true) => {
                    assert_eq!(finding.kind, FindingKind::Truncated { until: number });
                }
                _ => assert_eq!(finding.kind, FindingKind::Missing { from: number }),
            }
            // The last line of a file is missed at the beginning of the next.
            if at + 1 < lines.len() {
                assert_eq!(
                    (finding.line, &finding.file),
                    (line, &path(&rig, file)),
                    "{finding}"
                );
            }

            let mut repeated = lines.clone();
            repeated.insert(at, lines[at].clone());
            let finding = rig.found(file, &repeated.concat()).unwrap();
            assert_eq!(finding.line, line + 1, "{finding}");
            assert_eq!(finding.sequence, Some(number));

            if at + 1 < lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, at + 1);
                let finding = rig.found(file, &swapped.concat()).unwrap();
                assert_eq!(finding.line, line, "{finding}");
                assert_eq!(finding.sequence, Some(number + 1));
            }

            // A line of this very log, from elsewhere.
            let mut inserted = lines.clone();
            inserted.insert(at, rig.lines((file + 1) % 3)[2].clone());
            let finding = rig.found(file, &inserted.concat()).unwrap();
            assert_eq!(
                (finding.line, &finding.file),
                (line, &path(&rig, file)),
                "{finding}"
            );
            number += 1;
        }
    }
}

fn path(rig: &Rig, file: usize) -> PathBuf {
    rig.directory.path().join(rig.name(file))
}

#[test]
fn g08_a_log_cut_off_anywhere_is_found() {
    let rig = Rig::new();
    let last = &rig.files[&rig.name(2)];
    for len in 0..last.len() {
        assert!(rig.found(2, &last[..len]).is_some(), "at {len}");
    }
    let first = &rig.files[&rig.name(0)];
    for len in (0..first.len()).step_by(37) {
        assert!(rig.found(0, &first[..len]).is_some(), "at {len}");
    }
}

#[test]
fn g08_a_file_that_is_missing_is_found() {
    for gone in 0..3 {
        let rig = Rig::new();
        fs::remove_file(path(&rig, gone)).unwrap();
        let report = rig.report();
        let finding = &report.findings()[0];
        match gone {
            0 => assert_eq!(finding.kind, FindingKind::Missing { from: 0 }),
            1 => assert!(matches!(finding.kind, FindingKind::Missing { .. })),
            _ => assert!(matches!(finding.kind, FindingKind::Truncated { .. })),
        }
        let pruned = Verifier::new(&keys())
            .with_pruned()
            .log(rig.path())
            .unwrap();
        assert_eq!(pruned.is_intact(), gone == 0, "the first may be put away");
    }
    let rig = Rig::new();
    fs::remove_file(place::head(&rig.path())).unwrap();
    assert_eq!(rig.report().findings()[0].kind, FindingKind::HeadMissing);
}

#[test]
fn files_that_changed_places_are_found() {
    let rig = Rig::new();
    fs::rename(path(&rig, 0), path(&rig, 8)).unwrap();
    fs::rename(path(&rig, 1), path(&rig, 0)).unwrap();
    fs::rename(path(&rig, 8), path(&rig, 1)).unwrap();
    assert_eq!(
        rig.report().findings()[0].kind,
        FindingKind::Missing { from: 0 }
    );
}

#[test]
fn another_log_under_the_same_key_is_no_substitute() {
    let (here, there) = (Rig::new(), Rig::new());
    for file in 0..3 {
        fs::copy(path(&there, file), path(&here, file)).unwrap();
    }
    let report = here.report();
    assert_eq!(report.findings()[0].kind, FindingKind::HeadMismatch);
}

#[test]
fn an_older_log_is_found_by_whoever_knows_how_far_it_was() {
    let rig = Rig::new();
    let last = rig.report().last().unwrap();
    let keys = keys();
    let verifier = Verifier::new(&keys).with_at_least(last);
    assert!(verifier.log(rig.path()).unwrap().is_intact());
    let verifier = Verifier::new(&keys).with_at_least(last + 1);
    let report = verifier.log(rig.path()).unwrap();
    assert_eq!(
        report.findings()[0].kind,
        FindingKind::Truncated { until: last + 1 }
    );
}

#[test]
fn an_older_log_that_was_written_on_is_found_by_whoever_noted_a_line() {
    let rig = Rig::new();
    let builder = || FileSink::builder(rig.path(), keys()).with_sync(false);
    let last = path(&rig, 2);
    let head = place::head(&rig.path());
    let older = (fs::read(&last).unwrap(), fs::read(&head).unwrap());
    write(builder(), 1);
    let anchor = rig.report().anchor().unwrap();
    let keys = keys();
    let verified = || {
        let verifier = Verifier::new(&keys).with_anchor(anchor);
        verifier.log(rig.path()).unwrap()
    };
    assert!(verified().is_intact());

    fs::write(&last, &older.0).unwrap();
    fs::write(&head, &older.1).unwrap();
    assert_eq!(
        verified().findings()[0].kind,
        FindingKind::Truncated {
            until: anchor.sequence()
        }
    );
    write(builder(), 5);
    let report = Verifier::new(&keys)
        .with_at_least(anchor.sequence())
        .log(rig.path())
        .unwrap();
    assert!(report.is_intact(), "a number alone says nothing");
    let report = verified();
    let finding = &report.findings()[0];
    assert_eq!(finding.kind, FindingKind::AnchorMismatch);
    assert_eq!(finding.sequence, Some(anchor.sequence()));
    assert_eq!((report.found(), report.anchor()), (1, None));
}

#[test]
fn a_noted_line_that_was_put_away_cannot_be_compared() {
    let rig = Rig::new();
    let keys = keys();
    let first = Verifier::new(&keys).file(path(&rig, 0)).unwrap();
    let anchor = first.anchor().unwrap();
    let verifier = Verifier::new(&keys).with_pruned().with_anchor(anchor);
    assert!(verifier.log(rig.path()).unwrap().is_intact());
    assert!(verifier.file(path(&rig, 0)).unwrap().is_intact());
    fs::remove_file(path(&rig, 0)).unwrap();
    let report = verifier.log(rig.path()).unwrap();
    assert_eq!(report.findings()[0].kind, FindingKind::AnchorMissing);
    assert_eq!(report.found(), 1);
}

#[test]
fn an_anchor_is_read_as_it_is_shown_and_in_no_other_way() {
    let anchor = Anchor::new(17, [0xa5; 32]);
    let text = anchor.to_string();
    assert_eq!(text, format!("17:{}", "a5".repeat(32)));
    assert_eq!(text.parse(), Ok(anchor));
    let other = ["", "17", "17:", "17:a5", &text[1..2], &text.to_uppercase()];
    let longer = [format!("{text}a"), format!("0{text}"), format!("+{text}")];
    for other in other.into_iter().chain(longer.iter().map(String::as_str)) {
        assert_eq!(other.parse::<Anchor>(), Err(InvalidAnchor), "{other}");
    }
}

#[test]
fn one_file_is_verified_alone() {
    let rig = Rig::new();
    for file in 0..3 {
        let report = Verifier::new(&keys()).file(path(&rig, file)).unwrap();
        assert!(report.is_intact(), "{:?}", report.findings());
        assert_eq!(report.lines(), rig.lines(file).len() as u64);
    }
    let report = Verifier::new(&keys())
        .reader("cut", &rig.files[&rig.name(1)][..500])
        .unwrap();
    assert_eq!(report.findings()[0].kind, FindingKind::Unfinished);
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let mut endless = vec![b'a'; 3 * super::super::MAX_LINE];
    endless.extend_from_slice(b"\nb\n");
    let report = Verifier::new(&keys()).reader("x", &endless[..]).unwrap();
    assert_eq!((report.lines(), report.found()), (2, 2));
    assert_eq!(report.findings()[1].line(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn g08_any_byte_changed_is_found_where_it_is(file in 0..3_usize, at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        thread_local!(static RIG: Rig = Rig::new());
        RIG.with(|rig| {
            let mut bytes = rig.files[&rig.name(file)].clone();
            let at = at.index(bytes.len());
            let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            bytes[at] ^= change;
            let finding = rig.found(file, &bytes).expect("found");
            prop_assert_eq!(finding.file.clone(), path(rig, file), "{}", finding);
            prop_assert_eq!(finding.line, line, "{}", finding);
            Ok(())
        })?;
    }

    #[test]
    fn arbitrary_bytes_are_no_log(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let report = Verifier::new(&keys()).reader("x", &bytes[..]).unwrap();
        prop_assert!(!report.is_intact());
    }
}
