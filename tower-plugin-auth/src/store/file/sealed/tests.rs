use proptest::prelude::*;
use tower_plugin_core::Principal;

use super::*;
use crate::{
    file::{FileKey, InvalidFileKey},
    random::SystemRng,
    token::{KeyRing, TokenKind, mint},
};

fn key(version: u32) -> FileKey {
    FileKey::new(version, &[u8::try_from(version).unwrap(); 32]).unwrap()
}

fn keys(active: u32) -> FileKeyRing {
    FileKeyRing::new(key(active), []).unwrap()
}

fn records(count: usize) -> Vec<Record> {
    let peppers = KeyRing::random(&SystemRng).unwrap();
    let now = std::time::UNIX_EPOCH;
    (0..count)
        .map(|_| {
            let minted = mint(TokenKind::Runtime, &peppers, &SystemRng).unwrap();
            Record::new(&minted, Principal::new("runtime", "cache-plugin"), now, now)
        })
        .collect()
}

const HEAD: fn(u64) -> Head = |sequence| Head::new(FileKind::Records, [9; 16], sequence);

fn sealed(count: usize) -> Vec<u8> {
    seal(&keys(1), "here", HEAD(5), &records(count), &SystemRng).unwrap()
}

#[test]
fn what_was_sealed_is_opened() {
    for count in [0, 1, 100] {
        let records = records(count);
        let file = seal(&keys(1), "here", HEAD(5), &records, &SystemRng).unwrap();
        let (head, opened) = open(&keys(1), "here", &file).unwrap();
        assert_eq!((head.sequence(), head.store_id()), (5, [9; 16]));
        assert_eq!((head.kind(), head.key_version()), (FileKind::Records, 1));
        let bytes = |records: &[Record]| records.iter().map(Record::to_bytes).collect::<Vec<_>>();
        assert_eq!(bytes(&opened), bytes(&records));
    }
}

#[test]
fn nothing_of_a_record_can_be_read() {
    let file = sealed(3);
    for shown in [&b"runtime"[..], b"cache-plugin", b"expires_at", b"here"] {
        assert!(!file.windows(shown.len()).any(|window| window == shown));
    }
    assert_ne!(
        sealed(0)[HEAD_LEN..],
        sealed(0)[HEAD_LEN..],
        "another nonce"
    );
}

#[test]
fn a_file_with_any_bit_changed_does_not_open() {
    let file = sealed(1);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut altered = file.clone();
            altered[at] ^= 1 << bit;
            assert!(
                open(&keys(1), "here", &altered).is_err(),
                "bit {bit} of byte {at}"
            );
        }
    }
}

#[test]
fn a_file_cut_off_or_continued_does_not_open() {
    let file = sealed(2);
    for len in 0..file.len() {
        assert!(open(&keys(1), "here", &file[..len]).is_err(), "{len} bytes");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(
        open(&keys(1), "here", &longer).unwrap_err(),
        InvalidFile::Altered
    );
}

#[test]
fn a_file_opens_with_its_own_key_and_label_alone() {
    let file = sealed(1);
    let ring = FileKeyRing::new(key(2), [key(1)]).unwrap();
    assert!(open(&ring, "here", &file).is_ok());
    let unknown = open(&keys(2), "here", &file).unwrap_err();
    assert_eq!(unknown, InvalidFile::UnknownKey(1));
    let same_version = FileKeyRing::new(FileKey::new(1, &[0; 32]).unwrap(), []).unwrap();
    for (keys, label) in [(&same_version, "here"), (&ring, "there"), (&ring, "")] {
        assert_eq!(open(keys, label, &file).unwrap_err(), InvalidFile::Altered);
    }
    let json = br#"{"format":"tower-plugin-tokens-1","records":[]}"#;
    assert_eq!(
        open(&ring, "here", json).unwrap_err(),
        InvalidFile::NotEncrypted
    );
}

#[test]
fn keys_are_of_one_length_and_different_versions() {
    for len in [0, 16, 31, 33] {
        let refused = FileKey::new(1, &vec![0; len]).unwrap_err();
        assert_eq!(refused, InvalidFileKey::Length, "{len}");
    }
    let repeated = FileKeyRing::new(key(1), [key(2), key(1)]).unwrap_err();
    assert_eq!(repeated, InvalidFileKey::RepeatedVersion(1));
    assert!(
        !format!("{:?}", keys(1)).contains("1, 1"),
        "no key is shown"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_opened_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&keys(1), "here", &bytes).is_err());
        let with_magic = [&b"TPTR\x01\0\0\0\x01"[..], &bytes].concat();
        prop_assert!(open(&keys(1), "here", &with_magic).is_err());
        let _ = super::records(&bytes);
    }
}
