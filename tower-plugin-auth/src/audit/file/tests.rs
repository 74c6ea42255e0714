use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tower_plugin_core::ManualClock;

use super::*;
use crate::{
    audit::{FileKey, FileKeyRing, Outcome, Party},
    random::SystemRng,
    token::{Pepper, Rng, RngError},
};

const LONG: Duration = Duration::from_secs(20);

struct Rig {
    directory: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("audit.{suffix}"))
    }

    fn builder(&self) -> FileSinkBuilder {
        FileSink::builder(self.path(), keys(1, &[])).with_sync(false)
    }

    fn refused(&self) -> FileSinkErrorKind {
        self.builder().open().unwrap_err().kind().clone()
    }

    fn lines(&self) -> Vec<serde_lite::Line> {
        let mut lines = Vec::new();
        for (_, path) in place::segments(&self.path()).unwrap() {
            let text = fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(serde_lite::Line::new));
        }
        lines
    }

    fn resources(&self) -> Vec<String> {
        self.lines()
            .iter()
            .filter_map(|line| line.text("resource"))
            .collect()
    }

    fn assert_intact(&self) -> Report {
        let keys = keys(1, &[2]);
        let report = Verifier::new(&keys).log(self.path()).unwrap();
        assert!(report.is_intact(), "{:?}", report.findings());
        report
    }
}

/// As much of JSON as these tests ask for.
mod serde_lite {
    pub(super) struct Line(String);

    impl Line {
        pub(super) fn new(line: &str) -> Self {
            Self(line.to_owned())
        }

        pub(super) fn text(&self, name: &str) -> Option<String> {
            let (_, rest) = self.0.split_once(&format!("\"{name}\":\""))?;
            Some(rest.split('"').next().unwrap().to_owned())
        }
    }
}

fn keys(active: u8, others: &[u8]) -> KeyRing {
    let key = |version: u8| Pepper::new(version.into(), &[version; 32]).unwrap();
    KeyRing::new(key(active), others.iter().copied().map(key)).unwrap()
}

fn record(sink: &FileSink, resource: &str) {
    let event = AuditEvent::new("authz_fail", Outcome::Denied)
        .with_actor(Party::new("runtime", "cache"))
        .with_resource(resource);
    sink.record(&event);
}

// Who waited was told before the figures were.
#[test]
fn what_was_flushed_is_among_the_figures() {
    let rig = Rig::new();
    let sink = rig.builder().open().unwrap();
    let before = sink.stats().next;
    for index in 1..=3000 {
        record(&sink, "/x");
        assert!(sink.flush(LONG));
        assert_eq!(sink.stats().next, before + index);
    }
}

#[test]
fn what_was_recorded_is_there_after_a_restart_and_goes_on() {
    let rig = Rig::new();
    for round in 0..3 {
        let sink = rig.builder().open().unwrap();
        for index in 0..250 {
            record(&sink, &format!("/{round}/{index}"));
        }
        drop(sink);
        let report = rig.assert_intact();
        assert_eq!(report.last(), Some(250 * (round + 1)));
    }
    let resources = rig.resources();
    assert_eq!(
        (resources[0].as_str(), resources[749].as_str()),
        ("/0/0", "/2/249")
    );
    let times = rig
        .lines()
        .iter()
        .filter_map(|line| line.text("time"))
        .count();
    assert_eq!(times, 751);
}

#[test]
fn flushed_is_on_disk_while_the_log_is_open() {
    let rig = Rig::new();
    let sink = rig.builder().with_sync(true).open().unwrap();
    record(&sink, "/a");
    assert!(sink.flush(LONG));
    assert_eq!(rig.resources(), ["/a"]);
    rig.assert_intact();
    assert_eq!(sink.stats().dropped, 0);
}

#[test]
fn a_full_file_is_followed_by_another() {
    let rig = Rig::new();
    let clock = ManualClock::new();
    let builder = || {
        rig.builder()
            .with_clock(clock.clone())
            .with_max_file_len(4096)
            .with_batch(1)
            .with_max_file_age(Duration::from_secs(3600))
    };
    let sink = builder().open().unwrap();
    for index in 0..100 {
        record(&sink, &format!("/{index}"));
    }
    assert!(sink.flush(LONG));
    drop(sink);
    let segments = place::segments(&rig.path()).unwrap();
    assert!(segments.len() > 4, "{segments:?}");
    for (_, path) in &segments {
        assert!(fs::metadata(path).unwrap().len() < 4096 + 512);
    }
    assert_eq!(rig.resources().len(), 100);
    rig.assert_intact();

    // And so is an old one.
    let sink = builder().open().unwrap();
    clock.advance(Duration::from_secs(3600));
    record(&sink, "/later");
    assert!(sink.flush(LONG));
    assert_eq!(
        place::segments(&rig.path()).unwrap().len(),
        segments.len() + 1
    );
    rig.assert_intact();
}

#[test]
fn another_key_is_taken_up_and_the_old_one_verifies() {
    let rig = Rig::new();
    record(&rig.builder().open().unwrap(), "/a");
    let sink = FileSink::builder(rig.path(), keys(2, &[1])).open().unwrap();
    record(&sink, "/b");
    drop(sink);
    let report = Verifier::new(&keys(2, &[1])).log(rig.path()).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings());
    let finding = Verifier::new(&keys(2, &[])).log(rig.path()).unwrap();
    assert_eq!(finding.findings()[0].kind(), FindingKind::UnknownKey(1));
}

/// A log under key 1, then 2, then of two files under 3; each time `/KEY/a` and `/KEY/b`.
fn rotated(rig: &Rig) -> KeyRing {
    for (active, others) in [(1, &[][..]), (2, &[1]), (3, &[2, 1])] {
        let builder = FileSink::builder(rig.path(), keys(active, others));
        let sink = builder.with_sync(false).open().unwrap();
        record(&sink, &format!("/{active}/a"));
        record(&sink, &format!("/{active}/b"));
    }
    keys(3, &[2, 1])
}

/// Writes the last line and the head anew, as whoever has this key can.
fn forge(rig: &Rig, key: u8) {
    let path = rig.file("00000001.jsonl");
    let text = fs::read(&path).unwrap();
    let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (last, before) = lines.split_last().unwrap();
    let parse = |line: &[u8]| {
        let line = chain::Line::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        (line.sequence, line.tag, line.payload.to_vec())
    };
    let (next, _, payload) = parse(last);
    let (_, tag, _) = parse(before[before.len() - 1]);
    let mut link = chain::Link { next, tag };
    let mut forged = before.concat();
    link.append(&mut forged, keys(key, &[]).active_key(), &payload);
    fs::write(&path, forged).unwrap();
    forge_head(rig, key, next, link.tag);
}

fn forge_head(rig: &Rig, key: u8, sequence: u64, tag: chain::Tag) {
    let ring = keys(3, &[2, 1]);
    let head = chain::Head::open(&fs::read(rig.file("head")).unwrap(), &ring).unwrap();
    let head = chain::Head {
        sequence,
        tag,
        key_version: key.into(),
        ..head
    };
    let text = head.write(keys(key, &[]).active_key());
    fs::write(rig.file("head"), text).unwrap();
}

#[test]
fn whoever_has_an_old_key_writes_no_line_after_one_of_its_successor() {
    // The active one has come, or only another has, which the key was replaced by.
    for (active, others, count) in [(3, &[2, 1][..], 7), (4, &[3, 2, 1], 7)] {
        for old in [1, 2] {
            let rig = Rig::new();
            rotated(&rig);
            let ring = keys(active, others);
            let intact = Verifier::new(&ring).log(rig.path()).unwrap();
            assert!(intact.is_intact(), "{:?}", intact.findings());
            assert_eq!(intact.lines(), count);
            forge(&rig, old);
            let report = Verifier::new(&ring).log(rig.path()).unwrap();
            let kinds: Vec<_> = report.findings().iter().map(Finding::kind).collect();
            let replaced = FindingKind::ReplacedKey(old.into());
            let head = FindingKind::HeadReplacedKey(old.into());
            assert_eq!(kinds, [replaced, head]);
            assert_eq!(report.findings()[0].line(), count);
            let opened = FileSink::builder(rig.path(), ring).open();
            assert!(matches!(
                opened.unwrap_err().kind(),
                FileSinkErrorKind::Broken(finding) if finding.kind() == replaced
            ));
        }
    }
}

#[test]
fn whoever_has_an_old_key_hides_no_line_of_its_successor_by_a_head() {
    let rig = Rig::new();
    let ring = rotated(&rig);
    let path = rig.file("00000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    fs::write(&path, lines[..6].concat()).unwrap();
    let last = chain::Line::parse(lines[5].trim_end().as_bytes()).unwrap();
    forge_head(&rig, 2, last.sequence, last.tag);
    let report = Verifier::new(&ring).log(rig.path()).unwrap();
    let finding = &report.findings()[0];
    assert_eq!(finding.kind(), FindingKind::HeadReplacedKey(2));
    let opened = FileSink::builder(rig.path(), ring).open();
    assert!(matches!(
        opened.unwrap_err().kind(),
        FileSinkErrorKind::Broken(broken) if broken == finding
    ));
}

#[test]
fn a_crash_between_the_first_lines_of_a_key_and_their_head_is_no_crime() {
    let rig = Rig::new();
    record(&rig.builder().open().unwrap(), "/a");
    let before = fs::read(rig.file("head")).unwrap();
    let builder = || FileSink::builder(rig.path(), keys(2, &[1])).with_sync(false);
    record(&builder().open().unwrap(), "/b");
    fs::write(rig.file("head"), before).unwrap();
    record(&builder().open().unwrap(), "/c");
    assert_eq!(rig.resources(), ["/a", "/b", "/c"]);
    let report = Verifier::new(&keys(2, &[1])).log(rig.path()).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings());
}

#[test]
fn nothing_of_an_encrypted_line_is_read_without_the_key() {
    let rig = Rig::new();
    let cipher = |version: u8| {
        let key = FileKey::new(version.into(), &[version; 32]).unwrap();
        FileKeyRing::new(key, []).unwrap()
    };
    let sink = rig.builder().with_cipher(cipher(9)).open().unwrap();
    record(&sink, "/secret/plans");
    record(&sink, "/secret/plans");
    drop(sink);
    rig.assert_intact();
    let text = fs::read_to_string(rig.file("00000001.jsonl")).unwrap();
    for shown in ["/secret/plans", "authz_fail", "cache"] {
        assert!(!text.contains(shown), "{shown}");
    }
    let lines: Vec<_> = text.lines().collect();
    assert_ne!(lines[1].get(20..200), lines[2].get(20..200));

    let opened = clear(lines[1].as_bytes(), &cipher(9)).unwrap();
    let opened = String::from_utf8(opened.into_owned()).unwrap();
    assert!(
        opened.starts_with("{\"seq\":1,\"key\":1,\"time\":\""),
        "{opened}"
    );
    assert!(opened.contains("\"resource\":\"/secret/plans\""));
    assert!(
        opened.ends_with(&lines[1][lines[1].len() - 74..]),
        "{opened}"
    );
    assert_eq!(
        clear(lines[0].as_bytes(), &cipher(9)).unwrap(),
        lines[0].as_bytes()
    );

    assert_eq!(
        clear(lines[1].as_bytes(), &cipher(8)),
        Err(InvalidLine::UnknownKey(9))
    );
    let moved = lines[1].replace("{\"seq\":1", "{\"seq\":2");
    assert_eq!(
        clear(moved.as_bytes(), &cipher(9)),
        Err(InvalidLine::Altered)
    );
    assert_eq!(clear(b"{}", &cipher(9)), Err(InvalidLine::Malformed));
}

/// Lets the writer get no further than a nonce, for as long as it is told to.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, parking_lot::Condvar)>, Arc<AtomicBool>);

impl Gate {
    fn shut(&self, shut: bool) {
        *self.0.0.lock() = shut;
        self.0.1.notify_all();
    }
}

impl Rng for Gate {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        let mut shut = self.0.0.lock();
        self.0.1.wait_while(&mut shut, |shut| *shut);
        match self.1.load(Relaxed) {
            true => Err(RngError::new("out of entropy")),
            false => SystemRng.fill(buffer),
        }
    }
}

fn gated(rig: &Rig, gate: &Gate) -> FileSinkBuilder {
    let key = FileKey::new(9, &[9; 32]).unwrap();
    rig.builder()
        .with_cipher(FileKeyRing::new(key, []).unwrap())
        .with_rng(gate.clone())
        .with_capacity(5)
        .with_batch(2)
}

fn until(what: impl Fn() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "another thread is waited for")]
    let end = Instant::now() + LONG;
    while !what() {
        #[expect(clippy::disallowed_methods, reason = "another thread is waited for")]
        let now = Instant::now();
        assert!(now < end, "waited for too long");
        thread::yield_now();
    }
}

#[test]
fn what_finds_no_room_is_dropped_counted_and_told() {
    let rig = Rig::new();
    let gate = Gate::default();
    let sink = gated(&rig, &gate).open().unwrap();
    gate.shut(true);
    record(&sink, "/taken");
    until(|| sink.stats().waiting == 0);
    for index in 0..12 {
        record(&sink, &format!("/{index}"));
    }
    assert_eq!((sink.stats().waiting, sink.stats().dropped), (5, 7));
    gate.shut(false);
    assert!(sink.flush(LONG));
    drop(sink);

    let key = FileKey::new(9, &[9; 32]).unwrap();
    let cipher = FileKeyRing::new(key, []).unwrap();
    let text = fs::read_to_string(rig.file("00000001.jsonl")).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| clear(line.as_bytes(), &cipher).unwrap().into_owned())
        .map(|line| String::from_utf8(line).unwrap())
        .collect();
    let kept: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("\"authz_fail\""))
        .collect();
    assert_eq!(kept.len(), 6);
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("\"audit_dropped\""))
        .collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("\"details\":{\"count\":\"7\"}"),
        "{}",
        told[0]
    );
    rig.assert_intact();
}

#[test]
fn who_waits_for_room_gets_it_or_gives_up() {
    let rig = Rig::new();
    let gate = Gate::default();
    let sink = gated(&rig, &gate)
        .with_on_full(OnFull::Wait(Duration::from_millis(20)))
        .open()
        .unwrap();
    gate.shut(true);
    record(&sink, "/taken");
    until(|| sink.stats().waiting == 0);
    for _ in 0..6 {
        record(&sink, "/a");
    }
    assert_eq!(sink.stats().dropped, 1, "after a while");
    gate.shut(false);
    assert!(sink.flush(LONG));
    drop(sink);

    let gate = Gate::default();
    let sink = gated(&rig, &gate)
        .with_on_full(OnFull::Wait(Duration::from_secs(10)))
        .open()
        .unwrap();
    gate.shut(true);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| record(&sink, "/b"));
        }
        gate.shut(false);
    });
    assert_eq!(sink.stats().dropped, 0);
}

#[test]
fn what_cannot_be_written_waits_and_is_not_written_twice() {
    let rig = Rig::new();
    let gate = Gate::default();
    let sink = gated(&rig, &gate).open().unwrap();
    gate.1.store(true, Relaxed);
    record(&sink, "/a");
    until(|| sink.stats().failures > 0);
    assert!(!sink.flush(Duration::from_millis(1)));
    gate.1.store(false, Relaxed);
    assert!(sink.flush(LONG));
    assert_eq!(sink.stats().dropped, 0);
    drop(sink);
    assert_eq!(rig.assert_intact().last(), Some(1));
}

#[test]
fn what_cannot_be_written_to_the_end_is_lost_and_counted() {
    let rig = Rig::new();
    let gate = Gate::default();
    let sink = gated(&rig, &gate).open().unwrap();
    gate.1.store(true, Relaxed);
    record(&sink, "/a");
    let queue = Arc::clone(&sink.0.queue);
    drop(sink);
    assert_eq!(queue.counts(), (0, 1));
    assert_eq!(rig.assert_intact().last(), Some(0));
}

#[test]
fn a_log_that_was_changed_is_not_continued() {
    let rig = Rig::new();
    record(&rig.builder().open().unwrap(), "/a");
    let path = rig.file("00000001.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("\"/a\"", "\"/b\"")).unwrap();
    let FileSinkErrorKind::Broken(finding) = rig.refused() else {
        panic!("opened");
    };
    assert_eq!((finding.line(), finding.kind()), (2, FindingKind::Altered));
    // Cut off, even at the end of a line:
    let end = good.find('\n').unwrap() + 1;
    fs::write(&path, &good[..end]).unwrap();
    assert!(matches!(rig.refused(), FileSinkErrorKind::Broken(_)));
    fs::remove_file(&path).unwrap();
    assert_eq!(rig.refused(), FileSinkErrorKind::Missing);
    fs::write(&path, &good).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let head = fs::read(rig.file("head")).unwrap();
    fs::write(rig.file("head"), &head[1..]).unwrap();
    assert!(matches!(rig.refused(), FileSinkErrorKind::Broken(_)));
    fs::remove_file(rig.file("head")).unwrap();
    assert_eq!(rig.refused(), FileSinkErrorKind::Missing);
    fs::write(rig.file("head"), &head).unwrap();
    fs::set_permissions(rig.file("head"), PermissionsExt::from_mode(0o600)).unwrap();
    rig.builder().open().unwrap();
}

#[test]
fn whatever_a_crash_has_left_the_log_goes_on() {
    let rig = Rig::new();
    let sink = rig.builder().open().unwrap();
    record(&sink, "/a");
    assert!(sink.flush(LONG));
    let (path, head) = (rig.file("00000001.jsonl"), rig.file("head"));
    let before = fs::read(&head).unwrap();
    record(&sink, "/b");
    drop(sink);
    let (after, full) = (fs::read(&head).unwrap(), fs::read(&path).unwrap());

    // Between the lines and the head, at any byte of the second line:
    let second = full.len()
        - full
            .split_inclusive(|byte| *byte == b'\n')
            .next_back()
            .unwrap()
            .len();
    for len in second..=full.len() {
        fs::write(&path, &full[..len]).unwrap();
        fs::write(&head, &before).unwrap();
        let sink = rig.builder().open().unwrap();
        record(&sink, "/c");
        drop(sink);
        rig.assert_intact();
        let recovered = rig
            .lines()
            .iter()
            .filter(|line| line.text("event").as_deref() == Some("audit_recovered"))
            .count();
        assert_eq!(
            recovered,
            usize::from(len > second && len < full.len()),
            "at {len}"
        );
        let survived = len == full.len();
        assert_eq!(rig.resources().contains(&"/b".to_owned()), survived);
    }

    // While the next file was begun:
    let next = rig.file("00000002.jsonl");
    for begun in [&b""[..], b"{\"seq\":3,"] {
        fs::write(&path, &full).unwrap();
        fs::write(&head, &after).unwrap();
        fs::write(&next, begun).unwrap();
        fs::set_permissions(&next, PermissionsExt::from_mode(0o600)).unwrap();
        drop(rig.builder().open().unwrap());
        assert!(!next.exists());
        rig.assert_intact();
    }

    // While the log was begun:
    for begun in [
        0,
        10,
        full.iter().position(|byte| *byte == b'\n').unwrap() + 1,
    ] {
        fs::write(&path, &full[..begun]).unwrap();
        fs::remove_file(&head).unwrap();
        drop(rig.builder().open().unwrap());
        rig.assert_intact();
    }
}

#[test]
fn half_a_line_in_a_full_file_does_not_stay_there() {
    let rig = Rig::new();
    let sink = rig.builder().open().unwrap();
    for index in 0..40 {
        record(&sink, &format!("/{index}"));
    }
    drop(sink);
    let path = rig.file("00000001.jsonl");
    let full = fs::read(&path).unwrap();
    assert!(full.len() > 4096);
    // Killed in the batch that filled it.
    fs::write(&path, [&full[..], b"{\"seq\":41,"].concat()).unwrap();
    let builder = || rig.builder().with_max_file_len(4096);
    drop(builder().open().unwrap());
    assert!(fs::read(&path).unwrap() == full, "half a line stayed");
    assert_eq!(place::segments(&rig.path()).unwrap().len(), 2);
    rig.assert_intact();
    let last = rig.lines().pop().unwrap();
    assert_eq!(last.text("event").as_deref(), Some("audit_recovered"));
    drop(builder().open().unwrap());
}

#[test]
fn what_failed_before_another_file_was_begun_does_not_stay_in_the_old_one() {
    let rig = Rig::new();
    let clock = ManualClock::new();
    let sink = rig
        .builder()
        .with_clock(clock.clone())
        .with_max_file_age(Duration::from_secs(3600))
        .open()
        .unwrap();
    // The lines can be written, and the head cannot.
    let in_the_way = rig.file("head.new");
    fs::create_dir(&in_the_way).unwrap();
    record(&sink, "/a");
    until(|| sink.stats().failures > 0);
    clock.advance(Duration::from_secs(3600));
    fs::remove_dir(&in_the_way).unwrap();
    assert!(sink.flush(LONG));
    drop(sink);
    assert_eq!(place::segments(&rig.path()).unwrap().len(), 2);
    assert_eq!(rig.resources(), ["/a"]);
    rig.assert_intact();
}

static DIRECTORY_FAILS: AtomicBool = AtomicBool::new(false);

/// A directory that cannot be synced once the head has its name, and then a machine that stops: whatever of that
/// is on disk, it is a log.
#[test]
fn a_head_whose_directory_fails_is_not_ahead_of_its_log() {
    let rig = Rig::new();
    let clock = ManualClock::new();
    let mut builder = rig
        .builder()
        .with_sync(true)
        .with_clock(clock.clone())
        .with_max_file_age(Duration::from_secs(3600))
        // No line is ever written twice in the same form.
        .with_cipher(FileKeyRing::new(FileKey::new(9, &[9; 32]).unwrap(), []).unwrap());
    builder.settings.sync_parent = |_| match DIRECTORY_FAILS.load(Relaxed) {
        true => Err(io::Error::other("out of order")),
        false => Ok(()),
    };
    let sink = builder.open().unwrap();
    let old_head = fs::read(rig.file("head")).unwrap();
    let again = rig.file("again");
    for (resource, later) in [("/a", 0), ("/b", 3600)] {
        clock.advance(Duration::from_secs(later));
        DIRECTORY_FAILS.store(true, Relaxed);
        let failures = sink.stats().failures;
        record(&sink, resource);
        until(|| sink.stats().failures > failures);
        assert!(!sink.flush(Duration::from_millis(1)), "not for good");
        // As it is, and with the head that was there before.
        rig.assert_intact();
        fs::rename(rig.file("head"), &again).unwrap();
        fs::write(rig.file("head"), &old_head).unwrap();
        fs::set_permissions(rig.file("head"), PermissionsExt::from_mode(0o600)).unwrap();
        rig.assert_intact();
        fs::rename(&again, rig.file("head")).unwrap();
        // No room for another attempt either, at whatever.
        let in_the_way = rig.file("head.new");
        fs::create_dir(&in_the_way).unwrap();
        record(&sink, "/waits");
        DIRECTORY_FAILS.store(false, Relaxed);
        let failures = sink.stats().failures;
        until(|| sink.stats().failures > failures);
        rig.assert_intact();
        fs::remove_dir(&in_the_way).unwrap();
        assert!(sink.flush(LONG));
    }
    drop(sink);
    // Those of two files, and four events: none twice, none lost.
    assert_eq!(rig.lines().len(), 2 + 4);
    assert_eq!(place::segments(&rig.path()).unwrap().len(), 2);
    rig.assert_intact();
    drop(rig.builder().open().unwrap());
}

/// A wall clock that is set back makes no file older and none younger.
#[test]
fn a_file_is_followed_by_another_after_its_time_whatever_the_wall_clock_is_set_to() {
    let rig = Rig::new();
    let clock = ManualClock::new();
    let sink = rig
        .builder()
        .with_clock(clock.clone())
        .with_max_file_age(Duration::from_secs(3600))
        .open()
        .unwrap();
    let files = || place::segments(&rig.path()).unwrap().len();
    let hour = Duration::from_secs(3600);
    let start = clock.wall();
    for (wall, passed, expected) in [
        (start, Duration::ZERO, 1),
        (std::time::UNIX_EPOCH, Duration::ZERO, 1),
        (start + 1000 * hour, hour / 2, 1),
        (start, Duration::ZERO, 1),
        (std::time::UNIX_EPOCH, hour / 2, 2),
        (start - 1000 * hour, Duration::ZERO, 2),
        (start - 2000 * hour, hour, 3),
    ] {
        clock.advance(passed);
        clock.set_wall(wall);
        record(&sink, "/");
        assert!(sink.flush(LONG));
        assert_eq!(files(), expected, "{wall:?}");
    }
    // A broken one is no reason to begin a file with every event.
    clock.set_monotonic_nanos(0);
    for _ in 0..3 {
        record(&sink, "/");
        assert!(sink.flush(LONG));
    }
    assert_eq!(files(), 3);
    drop(sink);
    rig.assert_intact();
}

#[test]
fn only_the_owner_may_have_access() {
    let rig = Rig::new();
    drop(rig.builder().open().unwrap());
    for suffix in ["00000001.jsonl", "head", "lock"] {
        let mode = fs::metadata(rig.file(suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    for suffix in ["00000001.jsonl", "head"] {
        for exposed in [0o640, 0o620, 0o604, 0o602, 0o644, 0o666] {
            fs::set_permissions(rig.file(suffix), PermissionsExt::from_mode(exposed)).unwrap();
            assert_eq!(rig.refused(), FileSinkErrorKind::Exposed, "{exposed:o}");
            let keys = keys(1, &[]);
            let error = Verifier::new(&keys).log(rig.path()).unwrap_err();
            assert_eq!(error.kind(), &FileSinkErrorKind::Exposed);
        }
        fs::set_permissions(rig.file(suffix), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let elsewhere = rig.file("elsewhere");
    fs::rename(rig.file("00000001.jsonl"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rig.file("00000001.jsonl")).unwrap();
    assert_eq!(rig.refused(), FileSinkErrorKind::Exposed);
}

#[test]
fn a_log_is_written_by_one() {
    let rig = Rig::new();
    let sink = rig.builder().open().unwrap();
    assert_eq!(rig.refused(), FileSinkErrorKind::InUse);
    let clone = sink.clone();
    drop(sink);
    assert_eq!(rig.refused(), FileSinkErrorKind::InUse);
    drop(clone);
    rig.builder().open().unwrap();
}

#[test]
fn unreasonable_settings_are_refused() {
    let rig = Rig::new();
    let field = |builder: FileSinkBuilder| match builder.open().unwrap_err().kind() {
        FileSinkErrorKind::Config(invalid) => invalid.field(),
        other => panic!("{other:?}"),
    };
    let minute = Duration::from_secs(60);
    assert_eq!(field(rig.builder().with_capacity(0)), "capacity");
    assert_eq!(field(rig.builder().with_capacity(100_001)), "capacity");
    assert_eq!(field(rig.builder().with_batch(0)), "batch");
    assert_eq!(field(rig.builder().with_batch(10_001)), "batch");
    assert_eq!(
        field(rig.builder().with_on_full(OnFull::Wait(minute))),
        "on_full"
    );
    assert_eq!(field(rig.builder().with_max_file_len(4095)), "max_file_len");
    assert_eq!(
        field(rig.builder().with_max_file_age(Duration::ZERO)),
        "max_file_age"
    );
    assert_eq!(field(FileSink::builder("/", keys(1, &[]))), "path");
}
