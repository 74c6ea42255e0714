//! Nobody makes a token who cannot, and nobody takes a caveat off.

use proptest::prelude::*;

use super::*;
use crate::{grant::chain::Signature, wiped::Wiped};

#[test]
fn a_key_without_the_salt_and_a_salt_without_the_key_forge_nothing() {
    let (keys, owner) = (keys(), cache());
    let minted = mint(&keys, &SystemRng).unwrap();
    let record = record(&minted);
    let get = asked("GET", "/", &owner);
    let forged = |root: Wiped<32>| {
        let forged = PresentedGrant::assemble(record.id(), &[], &Signature::new(root));
        check(&keys, &forged, Some(&record), &get).map(|_| ())
    };
    let (version, salt) = record.root();
    let id = record.id();
    assert_eq!(forged(keys.chain_root(version, &id, salt).0), Ok(()));

    let mismatch = Err(DenialReason::Mismatch);
    assert_eq!(forged(keys.chain_root(version, &id, &[0; 32]).0), mismatch);
    assert_eq!(
        forged(self::keys().chain_root(version, &id, salt).0),
        mismatch
    );
    assert_eq!(forged(Wiped::new(*salt)), mismatch);
}

#[test]
fn a_forgotten_key_takes_its_grants_along() {
    let owner = cache();
    let old = || Pepper::new(1, &[1; 32]).unwrap();
    let new = || Pepper::new(2, &[2; 32]).unwrap();
    let minted = mint(&KeyRing::new(old(), []).unwrap(), &SystemRng).unwrap();
    let record = record(&minted);
    let judged_by = |keys: KeyRing| {
        let presented = present(minted.token());
        check(&keys, &presented, Some(&record), &asked("GET", "/", &owner)).map(|_| ())
    };
    assert_eq!(judged_by(KeyRing::new(new(), [old()]).unwrap()), Ok(()));
    let mismatch = Err(DenialReason::Mismatch);
    assert_eq!(judged_by(KeyRing::new(new(), []).unwrap()), mismatch);
    // Another key by the same number.
    let other = Pepper::new(1, &[3; 32]).unwrap();
    assert_eq!(judged_by(KeyRing::new(other, []).unwrap()), mismatch);
}

#[test]
fn a_caveat_is_neither_taken_off_nor_moved_nor_changed() {
    let (keys, owner) = (keys(), cache());
    let minted = mint(&keys, &SystemRng).unwrap();
    let record = record(&minted);
    let caveats = [
        Caveat::path_prefix("/a").unwrap(),
        Caveat::max_uses(2).unwrap(),
        Caveat::methods(["GET"]).unwrap(),
    ];
    let token = caveats
        .iter()
        .fold(present(minted.token()), |t, c| t.extended(c).unwrap());
    let genuine = |caveats: &[&Caveat]| {
        let bytes: Vec<u8> = caveats.iter().flat_map(|c| c.as_bytes().to_vec()).collect();
        let forged = PresentedGrant::assemble(token.id(), &bytes, &token.signature());
        check(&keys, &forged, Some(&record), &asked("GET", "/a", &owner)).map(|_| ())
    };
    let [a, b, c] = &caveats;
    let more = Caveat::max_uses(3).unwrap();
    assert_eq!(genuine(&[a, b, c]), Ok(()));
    for wrong in [
        &[][..],
        &[a],
        &[a, b],
        &[b, c],
        &[b, a, c],
        &[a, c, b],
        &[a, &more, c],
        &[a, b, c, c],
    ] {
        assert_eq!(genuine(wrong), Err(DenialReason::Mismatch));
    }
}

#[test]
fn a_revoked_link_ends_what_was_derived_from_it_and_nothing_else() {
    let (keys, owner) = (keys(), cache());
    let minted = mint(&keys, &SystemRng).unwrap();
    let derive =
        |from: &GrantToken, path| from.attenuate(&Caveat::path_prefix(path).unwrap()).unwrap();
    let root = GrantToken::new(minted.token().parts());
    let (left, right) = (derive(&root, "/a"), derive(&root, "/a/"));
    let below = derive(&left, "/a/b");
    let record = record(&minted);
    let judged = |revoked: LinkId, token: &GrantToken| {
        let record = record.clone().with_revoked_links([revoked]);
        let asked = asked("GET", "/a/b", &owner);
        check(&keys, &present(token), Some(&record), &asked).map(|_| ())
    };
    let revoked = Err(DenialReason::Revoked);
    assert_eq!(judged(left.link(), &root), Ok(()));
    assert_eq!(judged(left.link(), &right), Ok(()));
    assert_eq!(judged(left.link(), &left), revoked);
    assert_eq!(judged(left.link(), &below), revoked);
    assert_eq!(judged(below.link(), &left), Ok(()));
    assert_eq!(judged(below.link(), &below), revoked);
    for token in [&root, &left, &right, &below] {
        assert_eq!(judged(root.link(), token), revoked);
    }
}

#[test]
fn a_token_has_no_more_caveats_and_bytes_than_it_may() {
    let keys = keys();
    let minted = mint(&keys, &SystemRng).unwrap();
    let short = Caveat::path_prefix("/").unwrap();
    let mut token = GrantToken::new(minted.token().parts());
    for _ in 0..MAX_CAVEATS {
        token = token.attenuate(&short).unwrap();
    }
    assert!(token.attenuate(&short).is_err());
    assert!(PresentedGrant::parse(token.expose().as_bytes()).is_ok());

    let long = Caveat::audience(&"a".repeat(255)).unwrap();
    let mut token = GrantToken::new(minted.token().parts());
    for _ in 0..7 {
        token = token.attenuate(&long).unwrap();
    }
    assert!(token.attenuate(&long).is_err(), "17 + 8 * 257 + 32 > 2048");
    let fits = Caveat::audience(&"a".repeat(MAX_LEN - 17 - 7 * 257 - 32 - 2)).unwrap();
    let token = token.attenuate(&fits).unwrap();
    assert!(PresentedGrant::parse(token.expose().as_bytes()).is_ok());
    let refused = Caveat::path_prefix(&format!("/{}", "a".repeat(255)));
    assert_eq!(refused.unwrap_err(), InvalidCaveat::Path);
}

#[test]
fn a_record_survives_its_bytes_and_no_others_are_one() {
    let minted = mint(&keys(), &SystemRng).unwrap();
    let plain = record(&minted);
    let full = record(&minted)
        .with_permission("GET|HEAD /{services}/*/a".parse().unwrap())
        .with_scope("* /".parse().unwrap())
        .with_holder(Holder::Certificate(Thumbprint::of_certificate(b"own")))
        .with_max_uses(7.try_into().unwrap())
        .with_version("1.2.0")
        .with_reason("to write \u{1F4DD}");
    let bearer = record(&minted).with_holder(Holder::Bearer);
    for record in [plain, full, bearer] {
        let bytes = record.to_bytes();
        let read = GrantRecord::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_eq!(read.root(), record.root());
        for len in 0..bytes.len() {
            assert!(GrantRecord::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        assert!(GrantRecord::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
}

proptest! {
    /// Whatever byte is changed, and with the checksum put right: it is another token, and nobody's.
    #[test]
    fn a_changed_byte_never_verifies(at in 0..150_usize, flip in 1..=255_u8, caveats in 0..4_usize) {
        let (keys, owner) = (keys(), cache());
        let minted = mint(&keys, &SystemRng).unwrap();
        let record = record(&minted);
        let all = [
            Caveat::path_prefix("/a").unwrap(),
            Caveat::max_uses(70_000).unwrap(),
            Caveat::not_after(super::at(999_999)).unwrap(),
        ];
        let token = all[..caveats].iter().fold(present(minted.token()), |t, c| t.extended(c).unwrap());
        let get = asked("GET", "/a/b", &owner);
        prop_assert!(check(&keys, &token, Some(&record), &get).is_ok());

        let text = token.text();
        let mut changed = text.as_bytes().to_vec();
        let place = at % changed.len();
        changed[place] ^= flip;
        prop_assert!(PresentedGrant::parse(&changed).is_err(), "the checksum finds it");

        let mut body = token.covered().to_vec();
        let place = at % body.len();
        body[place] ^= flip;
        if let Ok(forged) = PresentedGrant::of_covered(&body) {
            // With another id, there is no record; a store that answers with one all the same is not believed.
            let verdict = check(&keys, &forged, Some(&record), &get);
            prop_assert!(matches!(verdict, Err(DenialReason::Mismatch | DenialReason::Unknown)));
        }
    }
}
