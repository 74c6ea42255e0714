use super::*;
use crate::token::format;

const SECRET: [u8; SECRET_LEN] = [9; SECRET_LEN];
const ID: TokenId = TokenId::from_bytes([7; 16]);

fn pepper(version: u32) -> Pepper {
    Pepper::new(version, &[u8::try_from(version).unwrap(); 32]).unwrap()
}

fn presented(secret: &[u8; SECRET_LEN]) -> PresentedToken {
    let token = format::encode(TokenKind::Runtime, ID, secret);
    PresentedToken::parse(token.expose().as_bytes()).unwrap()
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    assert_eq!(
        Pepper::new(3, &[1; 31]).unwrap_err().to_string(),
        "key of version 3 must have at least 32 bytes, has 31"
    );
    assert!(Pepper::new(3, &[1; 32]).is_ok());
    assert!(Pepper::new(3, &[1; 300]).is_ok());
}

#[test]
fn a_ring_has_one_key_per_version_and_few_of_them() {
    assert_eq!(
        KeyRing::new(pepper(1), [pepper(2), pepper(1)]).unwrap_err(),
        InvalidKeyRing::RepeatedVersion(1)
    );
    assert_eq!(
        KeyRing::new(pepper(1), [pepper(2), pepper(2)]).unwrap_err(),
        InvalidKeyRing::RepeatedVersion(2)
    );
    assert!(KeyRing::new(pepper(0), (1..=16).map(pepper)).is_ok());
    assert_eq!(
        KeyRing::new(pepper(0), (1..=17).map(pepper)).unwrap_err(),
        InvalidKeyRing::TooManyKeys
    );
}

#[test]
fn the_digest_is_the_documented_one() {
    let keys = KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap();
    let id = TokenId::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let secret = std::array::from_fn(|i| 100 + u8::try_from(i).unwrap());
    // Computed by an independent implementation (Python's `hmac`).
    for (kind, hex) in [
        (
            TokenKind::Runtime,
            "f1682ef2ec3f043a4f4015703c108f464f736e772a1bff611331624189f6ecc4",
        ),
        (
            TokenKind::Grant,
            "a2a32798e11a45eba9e667dd3451ec7909b22c5630480e710e53a533ea8b7e68",
        ),
        (
            TokenKind::OneTime,
            "93fa07281b3b41978692d43e83daf47528fd81c7f4e6e74f5a1ddd499f4a6435",
        ),
    ] {
        let (version, verifier) = keys.digest(kind, &id, &secret);
        let digest: String = verifier
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!((version, digest.as_str()), (1, hex));
    }
}

#[test]
fn an_old_key_verifies_until_it_is_dropped() {
    let (version, verifier) =
        KeyRing::new(pepper(1), [])
            .unwrap()
            .digest(TokenKind::Runtime, &ID, &SECRET);

    let rotated = KeyRing::new(pepper(2), [pepper(1)]).unwrap();
    assert_eq!(rotated.active(), 2);
    assert!(rotated.verify(&presented(&SECRET), version, &verifier));
    assert_eq!(
        rotated.digest(TokenKind::Runtime, &ID, &SECRET).0,
        2,
        "new digests are made under the active key"
    );

    let dropped = KeyRing::new(pepper(2), []).unwrap();
    assert!(!dropped.verify(&presented(&SECRET), version, &verifier));
    // The same version over another key is another key.
    let swapped = KeyRing::new(Pepper::new(1, &[0xEE; 32]).unwrap(), []).unwrap();
    assert!(!swapped.verify(&presented(&SECRET), version, &verifier));
}

#[test]
fn debug_shows_no_key_and_no_digest() {
    let keys = KeyRing::new(Pepper::new(1, &[0xAB; 32]).unwrap(), [pepper(2)]).unwrap();
    let (_, verifier) = keys.digest(TokenKind::Runtime, &ID, &SECRET);
    assert_eq!(
        format!("{keys:?}"),
        "KeyRing { active: Pepper { version: 1, .. }, verify_only: [Pepper { version: 2, .. }] }"
    );
    assert_eq!(format!("{verifier:?}"), "Verifier { .. }");
}
