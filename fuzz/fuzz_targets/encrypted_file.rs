//! A file of records, made up or made of a genuine one: nothing panics, and only the genuine one opens.
//!
//! The first byte says what to do: 0 opens the rest as it is, anything else changes the genuine file at the places
//! that the rest names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::{
    Principal, SystemRng,
    store::{FileKey, FileKeyRing, sealed},
    token::{KeyRing, Record, TokenKind, mint},
};

static KEYS: LazyLock<FileKeyRing> = LazyLock::new(|| {
    let key = |version: u8| FileKey::new(version.into(), &[version; 32]).unwrap();
    FileKeyRing::new(key(1), [key(0), key(255)]).unwrap()
});

static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let peppers = KeyRing::random(&SystemRng).unwrap();
    let now = std::time::UNIX_EPOCH;
    let records: Vec<_> = (0..3)
        .map(|_| {
            let minted = mint(TokenKind::Runtime, &peppers, &SystemRng).unwrap();
            Record::new(&minted, Principal::new("runtime", "cache"), now, now)
        })
        .collect();
    let head = sealed::Head::new(sealed::FileKind::Records, [7; 16], 1);
    sealed::seal(&KEYS, "fuzz", head, &records, &SystemRng).unwrap()
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    if *choice == 0 {
        let _ = sealed::Head::peek(rest);
        assert!(sealed::open(&KEYS, "fuzz", rest).is_err());
        return;
    }
    let mut file = GENUINE.clone();
    for change in rest.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        match (file.get_mut(at), change[2]) {
            (Some(byte), 1..) => *byte ^= change[2],
            (Some(_), 0) => file.truncate(at),
            (None, byte) => file.push(byte),
        }
    }
    let opened = sealed::open(&KEYS, "fuzz", &file);
    assert_eq!(opened.is_ok(), file == *GENUINE);
});
