//! 10,000 audit events into a file that shows whether it was changed.
//!
//! Both sides write the same line of JSON for each event and chain it with HMAC-SHA256. The peer is what one
//! writes first: format, chain, write, flush, one event after the other, on the thread that has the event, and
//! nothing that tells when its end is missing. Ours hands events to its writer, 1000 at most, and replaces a
//! head after each batch of 100; it is done when all of them are as safe as the peer's.

use std::{
    fs::File,
    io::Write,
    time::{Duration, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;
use tower_plugin_auth::{
    Clock, SystemClock,
    audit::{AuditEvent, AuditSink, FileSink, OnFull, Outcome, Party},
    token::{KeyRing, Pepper},
};

use crate::runner::{Against, Case, Contender, Contest, nanos, now, uncounted};

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    vec![
        // On disk, whatever happens to the machine: `fdatasync` for each event, and for each batch.
        versus("audit-10k", "sync per event", 4.0, || contest(true)),
        // In the hands of the operating system, whatever happens to the process.
        versus("audit-10k-unsynced", "write per event", 1.0, || {
            contest(false)
        }),
    ]
}

fn contest(sync: bool) -> Contest {
    Contest {
        ours: ours(sync),
        peer: peer(sync),
        baseline: None,
    }
}

fn ours(sync: bool) -> Contender {
    let directory = TempDir::new().expect("a directory");
    let key = Pepper::new(1, &KEY).expect("a key");
    let sink = FileSink::builder(
        directory.path().join("audit"),
        KeyRing::new(key, []).expect("a ring"),
    )
    .with_sync(sync)
    .with_on_full(OnFull::Wait(Duration::from_secs(10)))
    .open()
    .expect("a log");
    Contender::whole(move || {
        let _ = &directory;
        let took = uncounted(|| {
            let start = now();
            for index in 0..EVENTS {
                each(index, |event| sink.record(event));
            }
            assert!(sink.flush(Duration::from_secs(60)));
            start.elapsed()
        });
        assert_eq!(sink.stats().dropped, 0);
        nanos(took) / EVENTS as f64
    })
}

fn peer(sync: bool) -> Contender {
    let directory = TempDir::new().expect("a directory");
    let mut log = Sequential::new(&directory, sync);
    Contender::whole(move || {
        let _ = &directory;
        let took = uncounted(|| {
            let start = now();
            for index in 0..EVENTS {
                each(index, |event| log.record(event));
            }
            start.elapsed()
        });
        nanos(took) / EVENTS as f64
    })
}

fn each(index: u64, record: impl FnOnce(&AuditEvent<'_>)) {
    let resource = format!("/v1/items/{index}");
    let details = [("cause", "UNKNOWN")];
    let event = AuditEvent::new("authn_login_fail", Outcome::Denied)
        .with_actor(Party::new("runtime", "cache-7f3a"))
        .with_action("GET")
        .with_resource(&resource)
        .with_reason("INVALID_TOKEN")
        .with_request_id("4f6c2a1e-9b0d-4c55-8a53-0d8f5b1f6a11")
        .with_details(&details);
    record(&event);
}

/// One line after the other.
struct Sequential {
    file: File,
    sync: bool,
    clock: SystemClock,
    mac: Hmac<Sha256>,
    last: [u8; 32],
    sequence: u64,
}

impl Sequential {
    fn new(directory: &TempDir, sync: bool) -> Self {
        Self {
            file: File::create(directory.path().join("sequential")).expect("a file"),
            sync,
            clock: SystemClock::new(),
            mac: Hmac::new_from_slice(&KEY).expect("a key"),
            last: [0; 32],
            sequence: 0,
        }
    }

    fn record(&mut self, event: &AuditEvent<'_>) {
        let actor = event.actor().expect("an actor");
        let since = self.clock.wall().duration_since(UNIX_EPOCH);
        let micros = since.unwrap_or_default().as_micros();
        let mut line = format!(
            "{{\"seq\":{},\"key\":1,\"time\":{micros},\"event\":\"{}\",\"outcome\":\"{}\",\
             \"actor\":{{\"kind\":\"{}\",\"subject\":\"{}\"}},\"action\":\"{}\",\"resource\":\"{}\",\
             \"reason\":\"{}\",\"request_id\":\"{}\",\"details\":{{\"{}\":\"{}\"}}",
            self.sequence,
            event.name(),
            event.outcome(),
            actor.kind(),
            actor.subject(),
            event.action().unwrap_or_default(),
            event.resource().unwrap_or_default(),
            event.reason().unwrap_or_default(),
            event.request_id().unwrap_or_default(),
            event.details()[0].0,
            event.details()[0].1,
        );
        let mut mac = self.mac.clone();
        mac.update(&self.last);
        mac.update(&self.sequence.to_be_bytes());
        mac.update(line.as_bytes());
        self.last = mac.finalize().into_bytes().into();
        self.sequence += 1;
        line.push_str(",\"mac\":\"");
        for byte in self.last {
            for nibble in [byte >> 4, byte & 15] {
                line.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        line.push_str("\"}\n");
        self.file.write_all(line.as_bytes()).expect("room");
        if self.sync {
            self.file.sync_data().expect("a disk");
        }
    }
}

const EVENTS: u64 = 10_000;
const KEY: [u8; 32] = [7; 32];
