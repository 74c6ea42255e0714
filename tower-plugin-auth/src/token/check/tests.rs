use std::time::{Duration, UNIX_EPOCH};

use tower_plugin_core::Principal;

use super::*;
use crate::token::{Pepper, Rng, RngError, TokenId, TokenKind, format, mint};

struct Fixed;

impl Rng for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        buffer.fill(0x5A);
        Ok(())
    }
}

const TTL: Duration = Duration::from_secs(60);

fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap()
}

fn record(kind: TokenKind) -> Record {
    let minted = mint(kind, &keys(), &Fixed).unwrap();
    let principal = Principal::new("runtime", "cache");
    Record::new(&minted, principal, UNIX_EPOCH, UNIX_EPOCH + TTL)
}

fn present(kind: TokenKind, id: [u8; 16], secret: [u8; 32]) -> PresentedToken {
    let token = format::encode(kind, TokenId::from_bytes(id), &secret);
    PresentedToken::parse(token.expose().as_bytes()).unwrap()
}

#[test]
fn a_token_is_valid_exactly_until_before_it_expires() {
    let presented = present(TokenKind::Runtime, [0x5A; 16], [0x5A; 32]);
    let record = record(TokenKind::Runtime);
    let at = |elapsed| check(&keys(), &presented, Some(&record), UNIX_EPOCH + elapsed);

    assert_eq!(at(Duration::ZERO), Ok(()));
    assert_eq!(at(TTL - Duration::from_nanos(1)), Ok(()));
    assert_eq!(at(TTL), Err(InvalidReason::Expired));
    assert_eq!(
        at(TTL + Duration::from_nanos(1)),
        Err(InvalidReason::Expired)
    );
}

#[test]
fn a_near_match_is_no_match() {
    let right = [0x5A; 32];
    let record = record(TokenKind::Runtime);
    for at in [0, 15, 31] {
        for bit in 0..8 {
            let mut secret = right;
            secret[at] ^= 1 << bit;
            let presented = present(TokenKind::Runtime, [0x5A; 16], secret);
            assert_eq!(
                check(&keys(), &presented, Some(&record), UNIX_EPOCH),
                Err(InvalidReason::Mismatch),
                "bit {bit} of byte {at}"
            );
        }
    }
}

#[test]
fn only_the_holder_of_the_secret_learns_that_it_has_expired() {
    let thief = present(TokenKind::Runtime, [0x5A; 16], [0; 32]);
    let record = record(TokenKind::Runtime);
    assert_eq!(
        check(&keys(), &thief, Some(&record), UNIX_EPOCH + TTL),
        Err(InvalidReason::Mismatch)
    );
}

#[test]
fn a_record_of_another_token_lets_nobody_in() {
    let runtime = present(TokenKind::Runtime, [0x5A; 16], [0x5A; 32]);
    let other_id = present(TokenKind::Runtime, [0x5B; 16], [0x5A; 32]);
    for (name, presented, record) in [
        ("no record", &runtime, None),
        ("another kind", &runtime, Some(record(TokenKind::Grant))),
        ("another id", &other_id, Some(record(TokenKind::Runtime))),
    ] {
        assert_eq!(
            check(&keys(), presented, record.as_ref(), UNIX_EPOCH),
            Err(InvalidReason::Unknown),
            "{name}"
        );
    }
}

#[test]
fn a_restored_record_is_as_good_as_the_one_kept() {
    let presented = present(TokenKind::Runtime, [0x5A; 16], [0x5A; 32]);
    let kept = record(TokenKind::Runtime);
    let restored = Record::from_bytes(&kept.to_bytes()).unwrap();
    assert_eq!(restored.principal(), kept.principal());
    assert_eq!(
        check(&keys(), &presented, Some(&restored), UNIX_EPOCH),
        Ok(())
    );
}

/// What is looked at in place of a record has the id of all zeros, and expired when time began.
#[test]
fn without_a_record_no_token_is_known_not_even_the_stand_in_s() {
    for kind in [TokenKind::Grant, TokenKind::OneTime, TokenKind::Runtime] {
        for (id, secret) in [([0; 16], [0; 32]), ([0x5A; 16], [0x5A; 32])] {
            for now in [UNIX_EPOCH, UNIX_EPOCH - TTL, UNIX_EPOCH + TTL] {
                let verdict = check(&keys(), &present(kind, id, secret), None, now);
                assert_eq!(verdict, Err(InvalidReason::Unknown));
            }
        }
    }
}
