//! A manifest, made up or made of a genuine one: nothing panics, and nobody is believed but who has signed.
//!
//! The first byte says what to do: 0 reads the rest as it is, 1 signs it, and anything else changes the genuine one
//! at the places that the rest names.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::admission::{
    Artifact,
    manifest::{
        Manifest, ManifestBuilder, ManifestKey, ManifestLimits, ManifestPolicy, PluginEntry,
        Timestamp, TrustedKeys, sign,
    },
};

const LIMITS: ManifestLimits = ManifestLimits::new();

static KEY: LazyLock<ManifestKey> = LazyLock::new(|| ManifestKey::from_seed(&[7; 32]));

static POLICY: LazyLock<ManifestPolicy> = LazyLock::new(|| {
    let keys = TrustedKeys::new().with_key("k", &KEY.public_key()).unwrap();
    ManifestPolicy::new(keys).with_trusted_author("a")
});

static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let plugin = |name| PluginEntry::new(name, "1", name, Artifact::of(b"x"), "a").unwrap();
    let json = ManifestBuilder::new(Timestamp::of(now()).unwrap(), "fuzz")
        .with_plugin(plugin("a"))
        .with_plugin(plugin("b").with_dependencies(["a".parse().unwrap()]))
        .to_json(&LIMITS)
        .unwrap();
    sign(&json, "k", &KEY, &LIMITS).unwrap()
});

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    match choice {
        0 => {
            // Nobody guesses a signature; a corpus may hold the genuine one.
            if let Ok(verified) = POLICY.verify(rest, now()) {
                let genuine = Manifest::parse(&GENUINE, &LIMITS).unwrap();
                assert_eq!(verified.manifest().signed_bytes(), genuine.signed_bytes());
            }
        }
        1 => {
            let Ok(signed) = sign(rest, "k", &KEY, &LIMITS) else {
                return;
            };
            let manifest = Manifest::parse(&signed, &LIMITS).expect("what was signed is sound");
            assert_eq!(manifest.key_id(), Some("k"));
            assert_eq!(sign(&signed, "k", &KEY, &LIMITS).unwrap(), signed);
            let keys = TrustedKeys::new().with_key("k", &KEY.public_key()).unwrap();
            assert!(manifest.verify(&keys).is_ok());
        }
        _ => {
            let mut json = GENUINE.clone();
            for change in rest.chunks_exact(3) {
                let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
                if let Some(byte) = json.get_mut(at) {
                    *byte = change[2];
                }
            }
            if let Ok(verified) = POLICY.verify(&json, now()) {
                let genuine = Manifest::parse(&GENUINE, &LIMITS).unwrap();
                assert_eq!(verified.manifest().signed_bytes(), genuine.signed_bytes());
            }
        }
    }
});
