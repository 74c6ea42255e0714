use proptest::prelude::*;

use super::*;

const ID: [u8; ID_LEN] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn secret() -> [u8; SECRET_LEN] {
    std::array::from_fn(|i| 100 + u8::try_from(i).unwrap())
}

fn text(kind: TokenKind) -> String {
    encode(kind, TokenId::from_bytes(ID), &secret())
        .expose()
        .to_owned()
}

/// Computed by an independent implementation (Python's `zlib` and `base64`).
const KNOWN: [(TokenKind, &str); 3] = [
    (
        TokenKind::Runtime,
        "tpr_AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn-AgYKDY9Pxag",
    ),
    (
        TokenKind::Grant,
        "tpg_AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn-AgYKDtJk3wQ",
    ),
    (
        TokenKind::OneTime,
        "tpo_AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn-AgYKDTjftzw",
    ),
];

#[test]
fn every_kind_has_the_documented_text() {
    for (kind, known) in KNOWN {
        assert_eq!(text(kind), known);
        assert_eq!(known.len(), TOKEN_LEN);

        let parsed = PresentedToken::parse(known.as_bytes()).unwrap();
        assert_eq!(parsed.kind(), kind);
        assert_eq!(parsed.id().as_bytes(), &ID);
        assert_eq!(parsed.secret(), &secret());
    }
}

#[test]
fn what_is_not_a_token_is_refused_for_what_is_wrong_with_it() {
    use MalformedToken::{Alphabet, Checksum, Length, Prefix};

    let good = text(TokenKind::Runtime);
    let with = |at: usize, byte: u8| {
        let mut text = good.clone().into_bytes();
        text[at] = byte;
        text
    };
    // `g` is 0b100000: its two upper bits are data, and none of the lower four may be set.
    assert!(good.ends_with('g'));

    struct Case {
        name: &'static str,
        text: Vec<u8>,
        error: MalformedToken,
    }
    let case = |name, text: &[u8], error| Case {
        name,
        text: text.to_vec(),
        error,
    };
    let good = good.as_bytes();
    for Case { name, text, error } in [
        case("empty", b"", Length),
        case("one short", &good[..TOKEN_LEN - 1], Length),
        case("one long", &[good, b"A"].concat(), Length),
        case("padded", &[good, b"=="].concat(), Length),
        case("two in one", &[good, b", ", good].concat(), Length),
        case("trailing space", &[good, b" "].concat(), Length),
        case("upper-case prefix", &with(0, b'T'), Prefix),
        case("unknown kind", &with(2, b'x'), Prefix),
        case("no separator", &with(3, b'-'), Prefix),
        case("another known kind", &with(2, b'g'), Checksum),
        case("standard alphabet", &with(30, b'+'), Alphabet),
        case("padding inside", &with(73, b'='), Alphabet),
        case("not ascii", &with(40, 0xC3), Alphabet),
        case("nul", &with(40, 0), Alphabet),
        case("newline", &with(40, b'\n'), Alphabet),
        case("trailing bits", &with(73, b'h'), Alphabet),
        case("id changed", &with(4, b'B'), Checksum),
        case("secret changed", &with(40, b'A'), Checksum),
        case("checksum changed", &with(70, b'A'), Checksum),
    ] {
        assert_eq!(
            PresentedToken::parse(&text).map(|_| ()),
            Err(error),
            "{name}"
        );
    }
}

#[test]
fn the_checksum_covers_the_prefix() {
    for (kind, _) in KNOWN {
        assert_eq!(
            kind.prefix_checksum(),
            crc32fast::hash(kind.prefix().as_bytes())
        );
    }
}

#[test]
fn debug_shows_the_public_half_only() {
    let token = encode(TokenKind::Runtime, TokenId::from_bytes(ID), &secret());
    let presented = PresentedToken::parse(token.expose().as_bytes()).unwrap();
    for shown in [format!("{token:?}"), format!("{presented:?}")] {
        assert!(
            shown.contains("000102030405060708090a0b0c0d0e0f"),
            "{shown}"
        );
        assert!(!shown.contains("ZGVmZ2hpamts"), "{shown}");
        assert!(!shown.contains("100, 101"), "{shown}");
        assert!(shown.len() < 120, "{shown}");
    }
}

fn any_kind() -> impl Strategy<Value = TokenKind> {
    prop_oneof![
        Just(TokenKind::Grant),
        Just(TokenKind::OneTime),
        Just(TokenKind::Runtime)
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_parsed_back(kind in any_kind(), id: [u8; 16], secret: [u8; 32]) {
        let token = encode(kind, TokenId::from_bytes(id), &secret);
        let parsed = PresentedToken::parse(token.expose().as_bytes()).unwrap();
        prop_assert_eq!(parsed.kind(), kind);
        prop_assert_eq!(*parsed.id().as_bytes(), id);
        prop_assert_eq!(parsed.secret(), &secret);
    }

    #[test]
    fn one_wrong_byte_anywhere_is_always_noticed(
        kind in any_kind(),
        id: [u8; 16],
        secret: [u8; 32],
        at in 0..TOKEN_LEN,
        flip in 1..=u8::MAX,
    ) {
        let token = encode(kind, TokenId::from_bytes(id), &secret);
        let mut text = token.expose().as_bytes().to_vec();
        text[at] ^= flip;
        prop_assert!(PresentedToken::parse(&text).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(PresentedToken::parse(&bytes).is_err());
    }

    #[test]
    fn arbitrary_text_of_the_right_shape_is_refused_without_a_panic(
        bytes in "tp[rgo]_[A-Za-z0-9_+/=-]{70}",
    ) {
        prop_assert!(PresentedToken::parse(bytes.as_bytes()).is_err());
    }
}
