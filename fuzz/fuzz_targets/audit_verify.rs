//! A file of an audit log, made up or made of a genuine one: nothing panics, and only what was written passes.
//!
//! The first byte says what to do: 0 takes the rest as it is, anything else changes the genuine file at the places
//! that the rest names. That lines are missing at the end cannot be seen in a file alone.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::{
    audit::{AuditEvent, AuditSink, FileKey, FileKeyRing, FileSink, Outcome, Verifier, clear},
    token::{KeyRing, Pepper},
};

fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap()
}

fn cipher() -> FileKeyRing {
    FileKeyRing::new(FileKey::new(2, &[2; 32]).unwrap(), []).unwrap()
}

/// A line in clear, and two encrypted ones.
static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let name = format!("tower-plugin-fuzz-audit-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("audit");
    let record = |sink: FileSink| {
        let event = AuditEvent::new("authz_fail", Outcome::Denied).with_resource("/a");
        sink.record(&event);
    };
    record(FileSink::builder(&path, keys()).open().unwrap());
    for _ in 0..2 {
        record(FileSink::builder(&path, keys()).with_cipher(cipher()).open().unwrap());
    }
    let file = std::fs::read(directory.join("audit.00000001.jsonl")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    file
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let mut file = match choice {
        0 => rest.to_vec(),
        _ => GENUINE.clone(),
    };
    if *choice != 0 {
        for change in rest.chunks_exact(3) {
            let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
            match (file.get_mut(at), change[2]) {
                (Some(byte), 1..) => *byte ^= change[2],
                (Some(_), 0) => file.truncate(at),
                (None, byte) => file.push(byte),
            }
        }
    }
    let report = Verifier::new(&keys()).reader("fuzz", &file[..]).unwrap();
    let is_genuine = file.ends_with(b"\n") && GENUINE.starts_with(&file);
    assert_eq!(report.is_intact(), is_genuine, "{:?}", report.findings());

    let cipher = cipher();
    for line in file.split(|byte| *byte == b'\n') {
        if let Ok(shown) = clear(line, &cipher) {
            assert!(shown.starts_with(b"{\"seq\":"));
        }
    }
});
