//! Bytes in, a grant or a reason out: nothing panics, nothing is forged, and what is read is written one way alone.
#![no_main]

use std::time::UNIX_EPOCH;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::{
    Principal,
    grant::{Asked, Caveat, GrantRecord, GrantToken, PresentedGrant, Restriction, check, mint},
    token::{KeyRing, Pepper, Rng, RngError, TokenId},
};

fuzz_target!(|input: &[u8]| {
    text(input);
    // With the checksum that goes with it: what is behind it is hardly ever reached by chance.
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"tpg_");
    hasher.update(input);
    let body = [input, &hasher.finalize().to_be_bytes()].concat();
    text(format!("tpg_{}", URL_SAFE_NO_PAD.encode(body)).as_bytes());

    if let Ok(record) = GrantRecord::from_bytes(input) {
        let again = GrantRecord::from_bytes(&record.to_bytes()).expect("what was written is read");
        assert_eq!(format!("{record:?}"), format!("{again:?}"));
    }
});

fn text(input: &[u8]) {
    let Ok(presented) = PresentedGrant::parse(input) else {
        return;
    };
    let text = str::from_utf8(input).expect("a token is ASCII");
    let token = GrantToken::parse(text).expect("it is one");
    assert_eq!(token.expose(), text, "a token has one text");
    for restriction in token.restrictions() {
        assert_eq!(written(restriction).restriction(), restriction);
    }
    if let Ok(derived) = token.attenuate(&written(Restriction::MaxUses(7.try_into().expect("7")))) {
        assert_eq!(derived.id(), token.id());
        assert_ne!(derived.link(), token.link());
        assert!(PresentedGrant::parse(derived.expose().as_bytes()).is_ok());
    }

    // Whoever makes it up does not know the salt.
    let keys = KeyRing::new(Pepper::new(1, &[1; 32]).expect("a key"), []).expect("one key");
    let minted = mint(&keys, &Given(token.id())).expect("randomness");
    let owner = Principal::new("runtime", "a");
    let record = GrantRecord::new(&minted, owner.clone(), "c", UNIX_EPOCH, UNIX_EPOCH)
        .with_permission("* /**".parse().expect("a permission"));
    let asked = Asked::new("c", "GET", "/", UNIX_EPOCH).with_principal(Some(&owner));
    assert!(check(&keys, &presented, Some(&record), &asked).is_err());
}

fn written(restriction: Restriction<'_>) -> Caveat {
    let caveat = match restriction {
        Restriction::Audience(name) => Caveat::audience(name),
        Restriction::Certificate(thumbprint) => Ok(Caveat::certificate(thumbprint)),
        Restriction::Holder { kind, subject } => Caveat::holder(kind, subject),
        Restriction::MaxUses(count) => Caveat::max_uses(count.get()),
        Restriction::Methods(methods) => Caveat::methods(methods.split('|')),
        Restriction::NotAfter(end) => Caveat::not_after(end),
        Restriction::PathPrefix(prefix) => Caveat::path_prefix(prefix),
        Restriction::Rpc { service, method } => Caveat::rpc(service, method),
        _ => panic!("{restriction:?}"),
    };
    caveat.expect("what was read can be written")
}

struct Given(TokenId);

impl Rng for Given {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        match buffer.len() {
            16 => buffer.copy_from_slice(self.0.as_bytes()),
            _ => buffer.fill(0x5a),
        }
        Ok(())
    }
}
