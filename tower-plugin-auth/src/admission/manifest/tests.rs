use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use tower_plugin_core::{Clock, ManualClock};

use super::{ManifestErrorKind as Kind, *};
use crate::{
    admission::{
        Admission, AdmissionBuilder, Applicant, Artifact, RefusalReason, Rule, Suspect,
        artifact::Hex,
        tests::{Told, name, secret},
    },
    random::SystemRng,
};

const PROGRAM: &[u8] = b"the program of the cache";
const LIMITS: ManifestLimits = ManifestLimits::new();

fn key() -> ManifestKey {
    ManifestKey::from_seed(&[7; 32])
}

fn keys() -> TrustedKeys {
    TrustedKeys::new()
        .with_key("release", &key().public_key())
        .unwrap()
}

fn policy() -> ManifestPolicy {
    ManifestPolicy::new(keys()).with_trusted_author("stormdb-team")
}

/// One plugin, with what the table of a test changes about it.
fn plugin(change: Value) -> Value {
    let mut plugin = json!({
        "name": "cache", "version": "1.0.0", "filename": "cache.so",
        "sha256": Hex(Artifact::of(PROGRAM).sha256()).to_string(), "size": PROGRAM.len(),
        "author": "stormdb-team", "trusted": true, "dependencies": [],
    });
    merge(&mut plugin, change);
    plugin
}

fn document(plugins: impl IntoIterator<Item = Value>, change: Value) -> Vec<u8> {
    let mut document = json!({
        "manifest_version": "1.0", "generated_at": "2030-01-01T00:00:00Z",
        "generated_by": "stormdb-manifest-generator", "plugins": Vec::from_iter(plugins),
    });
    merge(&mut document, change);
    serde_json::to_vec(&document).unwrap()
}

/// `"-"` takes a member away.
fn merge(into: &mut Value, change: Value) {
    let (into, Value::Object(change)) = (into.as_object_mut().unwrap(), change) else {
        panic!("a change is an object");
    };
    for (name, value) in change {
        match value.as_str() {
            Some("-") => into.remove(&name),
            _ => into.insert(name, value),
        };
    }
}

fn signed(json: &[u8]) -> Vec<u8> {
    sign(json, "release", &key(), &LIMITS).unwrap()
}

fn genuine() -> Vec<u8> {
    signed(&document([plugin(json!({}))], json!({})))
}

fn parse(json: &[u8]) -> Result<Manifest, (Kind, Option<usize>)> {
    Manifest::parse(json, &LIMITS).map_err(|error| (error.kind(), error.plugin()))
}

fn verify(json: &[u8]) -> Result<VerifiedManifest, Kind> {
    policy()
        .verify(json, ManualClock::new().wall())
        .map_err(|error| error.kind())
}

fn decide(
    policy: &ManifestPolicy,
    manifest: &[u8],
    change: impl FnOnce(Applicant<'_>) -> Applicant<'_>,
) -> Result<(), RefusalReason> {
    let now = ManualClock::new().wall();
    let manifest = policy.verify(manifest, now).unwrap();
    let cache = name("Cache");
    let applicant = change(Applicant::new(&cache).with_artifact(Artifact::of(PROGRAM)));
    policy.decide(&manifest, &applicant, now, |_| false)
}

/// A front door, and the clock over it.
fn admission(told: &Told) -> (AdmissionBuilder, ManualClock) {
    let clock = ManualClock::new();
    let builder = Admission::builder(Rule::Manifest)
        .with_manifests(policy())
        .with_clock(clock.clone());
    (told.listen(builder), clock)
}

fn at(instant: &str) -> Vec<u8> {
    signed(&document(
        vec![plugin(json!({}))],
        json!({"generated_at": instant}),
    ))
}

#[test]
fn a_valid_entry_is_admitted() {
    assert_eq!(decide(&policy(), &genuine(), |applicant| applicant), Ok(()));
    let known =
        |applicant: Applicant<'static>| applicant.with_version("1.0.0").with_filename("cache.so");
    let now = ManualClock::new().wall();
    let manifest = policy().verify(&genuine(), now).unwrap();
    let cache = Box::leak(Box::new(name("cache")));
    let applicant = known(Applicant::new(cache)).with_artifact(Artifact::of(PROGRAM));
    assert_eq!(
        policy().decide(&manifest, &applicant, now, |_| false),
        Ok(())
    );
}

#[test]
fn the_json_of_the_go_generator_is_read() {
    let json = br#"{
      "manifest_version": "1.0",
      "generated_at": "2029-08-01T12:00:00.123456789+02:00",
      "generated_by": "stormdb-manifest-generator",
      "plugins": [
        {
          "name": "example_plugin", "version": "1.0.0", "filename": "example_plugin.so",
          "sha256": "A1B2C3D4E5F6a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f60102",
          "size": 15728640, "modified": "2029-07-31T10:00:00Z",
          "author": "stormdb-team", "trusted": true, "dependencies": null,
          "build_info": {
            "go_version": "go1.25", "build_time": "0001-01-01T00:00:00Z",
            "environment": "", "reproducible": false
          }
        }
      ]
    }"#;
    let manifest = parse(json).unwrap();
    assert_eq!(
        manifest.generated_at().to_string(),
        "2029-08-01T10:00:00.123456789Z"
    );
    let [plugin] = manifest.plugins() else {
        panic!()
    };
    assert_eq!(plugin.name().as_str(), "example_plugin");
    assert_eq!(plugin.sha256()[..2], [0xA1, 0xB2]);
    assert_eq!(plugin.build_info().unwrap().environment(), None);
    assert_eq!(manifest.verify(&keys()).unwrap_err().kind(), Kind::Unsigned);
}

#[test]
fn what_is_wrong_with_a_document_is_named() {
    let with = |change| document([plugin(json!({}))], change);
    let malformed = |result| matches!(result, Err((Kind::Malformed { .. }, None)));
    assert!(malformed(parse(b"").map(drop)));
    assert!(malformed(parse(b"[]").map(drop)));
    assert!(malformed(parse(&with(json!({"surprise": 1}))).map(drop)));
    assert!(malformed(
        parse(&with(json!({"generated_by": 1}))).map(drop)
    ));
    let twice = br#"{"manifest_version":"1.0","manifest_version":"1.0"}"#;
    assert!(malformed(parse(twice).map(drop)));

    for (document, kind) in [
        (
            with(json!({"manifest_version": "-"})),
            Kind::MissingField("manifest_version"),
        ),
        (
            with(json!({"manifest_version": "1.1"})),
            Kind::UnsupportedVersion,
        ),
        (
            with(json!({"generated_at": "-"})),
            Kind::MissingField("generated_at"),
        ),
        (
            with(json!({"generated_at": ""})),
            Kind::MissingField("generated_at"),
        ),
        (
            with(json!({"generated_by": null})),
            Kind::MissingField("generated_by"),
        ),
        (with(json!({"plugins": []})), Kind::NoPlugins),
        (with(json!({"plugins": null})), Kind::NoPlugins),
        (with(json!({"plugins": "-"})), Kind::NoPlugins),
        (
            with(json!({"signature": {}})),
            Kind::MissingField("signature.algorithm"),
        ),
        (
            with(json!({"signature": {"algorithm": "ed25519"}})),
            Kind::MissingField("signature.key_id"),
        ),
        (
            with(json!({"signature": {"algorithm": "ed25519", "key_id": "k"}})),
            Kind::MissingField("signature.signature"),
        ),
    ] {
        assert_eq!(parse(&document).unwrap_err(), (kind, None));
    }
    for (change, field) in [
        (json!({"generated_at": "yesterday"}), "generated_at"),
        (json!({"generated_by": "a\nb"}), "generated_by"),
        (json!({"not_before": "2030"}), "not_before"),
        (
            json!({"not_before": "2030-01-02T00:00:00Z", "not_after": "2030-01-01T00:00:00Z"}),
            "not_after",
        ),
    ] {
        let (kind, _) = parse(&with(change)).unwrap_err();
        assert!(
            matches!(kind, Kind::InvalidField(it) if it.field() == field),
            "{kind:?}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_plugin_is_named_and_so_is_the_plugin() {
    let second = |change| {
        let other = plugin(json!({"name": "other", "filename": "other.so"}));
        document([other, plugin(change)], json!({}))
    };
    for field in ["name", "version", "filename", "sha256", "size", "author"] {
        let json = second(json!({ field: "-" }));
        assert_eq!(
            parse(&json).unwrap_err(),
            (Kind::MissingField(field), Some(1))
        );
    }
    let long = "x".repeat(129);
    let digits = "0".repeat(64);
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("../cache")),
        ("name", json!("1st")),
        ("name", json!(long)),
        ("version", json!("")),
        ("version", json!("1 0")),
        ("version", json!("x".repeat(65))),
        ("filename", json!("")),
        ("filename", json!("..")),
        ("filename", json!("../../etc/cron.d/x")),
        ("filename", json!("a/b.so")),
        ("filename", json!("a\\b.so")),
        ("filename", json!("/abs.so")),
        ("filename", json!("C:cache.so")),
        ("filename", json!("a..so")),
        ("filename", json!(".hidden")),
        ("filename", json!("-rf")),
        ("filename", json!("trailing.")),
        ("filename", json!("nul\u{0}.so")),
        ("filename", json!("f".repeat(256))),
        ("sha256", json!("")),
        ("sha256", json!(digits[1..])),
        ("sha256", json!(format!("{digits}0"))),
        ("sha256", json!(format!("g{}", &digits[1..]))),
        ("sha256", json!(format!("+{}", &digits[1..]))),
        ("size", json!(0)),
        ("size", json!((50 << 20) + 1)),
        ("author", json!("")),
        ("author", json!("stormdb-team ")),
        ("author", json!("stormdb\u{202E}-team")),
        ("author", json!(long)),
        ("dependencies", json!(["../x"])),
        ("dependencies", json!(vec!["other"; 65])),
        ("modified", json!("2030-01-01T00:00:01Z")),
        ("modified", json!("now")),
    ] {
        let (kind, index) = parse(&second(json!({ field: value }))).unwrap_err();
        assert!(
            matches!(kind, Kind::InvalidField(it) if it.field() == field),
            "{field} {value}: {kind:?}"
        );
        assert_eq!(index, Some(1));
    }
    for (change, kind) in [
        (json!({"filename": "other.so"}), Kind::DuplicateFilename),
        (json!({"filename": "OTHER.SO"}), Kind::DuplicateFilename),
        (json!({"name": "OTHER"}), Kind::DuplicatePlugin),
        (json!({"dependencies": ["absent"]}), Kind::UnknownDependency),
        (json!({"dependencies": ["cache"]}), Kind::UnknownDependency),
    ] {
        assert_eq!(parse(&second(change)).unwrap_err(), (kind, Some(1)));
    }
    for fine in [
        json!({"sha256": digits, "filename": "Cache @2+x_1.so"}),
        json!({"name": "other", "version": "2.0.0"}),
        json!({"size": 50 << 20}),
        json!({"trusted": "-", "dependencies": "-"}),
    ] {
        assert!(parse(&second(fine)).is_ok());
    }
    // Negative numbers and fractions are no sizes at all.
    for size in [json!(-1), json!(1.5), json!("1")] {
        let (kind, _) = parse(&second(json!({"size": size}))).unwrap_err();
        assert!(matches!(kind, Kind::Malformed { .. }));
    }
}

#[test]
fn circles_of_dependencies_are_found_and_long_chains_are_not_taken_for_them() {
    let chain = |names: &[(&str, &[&str])]| {
        let plugins = names.iter().map(|(name, needs)| {
            plugin(json!({"name": name, "filename": format!("{name}.so"), "dependencies": needs}))
        });
        parse(&document(plugins, json!({})))
    };
    assert!(chain(&[("c", &["b", "a", "b"]), ("b", &["a"]), ("a", &[])]).is_ok());
    assert!(chain(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]).is_ok());
    for circle in [
        &[("a", &["b"][..]), ("b", &["a"])][..],
        &[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])],
    ] {
        assert_eq!(chain(circle).unwrap_err(), (Kind::DependencyCycle, None));
    }
    // Of two versions one is free of the circle.
    let version = |version: &str, needs: &[&str]| {
        plugin(json!({
            "name": "a", "version": version, "filename": format!("a-{version}"), "dependencies": needs
        }))
    };
    let b = plugin(json!({"name": "b", "filename": "b", "dependencies": ["a"]}));
    let plugins = vec![version("1", &[]), version("2", &["b"]), b];
    assert!(parse(&document(plugins, json!({}))).is_ok());
}

#[test]
fn a_document_beyond_its_limits_is_refused_before_it_is_read() {
    let plugins = |count| {
        (0..count).map(|n| plugin(json!({"name": format!("p{n}"), "filename": format!("{n}.so")})))
    };
    let limits = LIMITS.with_max_plugins(2);
    let of = |count| Manifest::parse(&document(plugins(count), json!({})), &limits);
    assert!(of(2).is_ok());
    assert_eq!(of(3).unwrap_err().kind(), Kind::TooManyPlugins);

    let json = genuine();
    let exactly = LIMITS.with_max_bytes(json.len());
    assert!(Manifest::parse(&json, &exactly).is_ok());
    let less = LIMITS.with_max_bytes(json.len() - 1);
    assert_eq!(
        Manifest::parse(&json, &less).unwrap_err().kind(),
        Kind::TooLarge
    );
    assert_eq!(
        sign(&json, "k", &key(), &less).unwrap_err().kind(),
        Kind::TooLarge
    );

    // Three bytes each on the wire, and not as many structures in memory.
    let flood = format!("{{\"plugins\":[{}{{}}]}}", "{},".repeat(200_000));
    let (kind, _) = parse(flood.as_bytes()).unwrap_err();
    assert!(
        matches!(kind, Kind::Malformed { column, .. } if column < 40_000),
        "{kind:?}"
    );
    let deep = "[".repeat(100_000);
    assert!(matches!(
        parse(deep.as_bytes()),
        Err((Kind::Malformed { .. }, None))
    ));
}

#[test]
fn a_document_of_yesterday_can_be_verified_anywhere() {
    // Made once, by these means; what was signed then has to be believed for ever.
    let json = genuine();
    let manifest = parse(&json).unwrap();
    let signed = String::from_utf8(manifest.signed_bytes().to_vec()).unwrap();
    assert_eq!(
        signed,
        "tower-plugin manifest 1\n{\"generated_at\":\"2030-01-01T00:00:00Z\",\
         \"generated_by\":\"stormdb-manifest-generator\",\"manifest_version\":\"1.0\",\"plugins\":[{\
         \"author\":\"stormdb-team\",\"dependencies\":[],\"filename\":\"cache.so\",\"name\":\"cache\",\
         \"sha256\":\"SHA\",\"size\":24,\"trusted\":true,\"version\":\"1.0.0\"}]}"
            .replace("SHA", &Hex(Artifact::of(PROGRAM).sha256()).to_string())
    );
}

#[test]
fn d02_only_a_signature_under_a_trusted_key_is_believed() {
    let unsigned = document([plugin(json!({}))], json!({}));
    let mut value: Value = serde_json::from_slice(&genuine()).unwrap();
    let genuine_signature = value["signature"]["signature"].clone();
    let mut with = |signature: Value| {
        value["signature"] = signature;
        serde_json::to_vec(&value).unwrap()
    };
    let block = |algorithm: &str, key_id: &str, signature: Value| json!({"algorithm": algorithm, "key_id": key_id, "signature": signature});
    let stranger = ManifestKey::from_seed(&[8; 32]);
    let by_stranger = sign(&unsigned, "release", &stranger, &LIMITS).unwrap();
    let under_other_name = sign(&unsigned, "other", &key(), &LIMITS).unwrap();
    for (json, kind) in [
        (unsigned.clone(), Kind::Unsigned),
        (with(json!(null)), Kind::Unsigned),
        (by_stranger, Kind::BadSignature),
        (under_other_name, Kind::UnknownKey),
        (
            with(block("ed25519", "Release", genuine_signature.clone())),
            Kind::UnknownKey,
        ),
        (
            with(block("ed25519", "no such\nkey", genuine_signature.clone())),
            Kind::UnknownKey,
        ),
        (
            with(block("rsa-pss", "release", genuine_signature.clone())),
            Kind::UnsupportedAlgorithm,
        ),
        (
            with(block("none", "release", json!(""))),
            Kind::UnsupportedAlgorithm,
        ),
        (
            with(block("ED25519", "release", genuine_signature.clone())),
            Kind::UnsupportedAlgorithm,
        ),
        (
            with(block("ed25519", "release", json!(""))),
            Kind::BadSignature,
        ),
        (
            with(block("ed25519", "release", json!("AAAA"))),
            Kind::BadSignature,
        ),
        (
            with(block("ed25519", "release", json!("!"))),
            Kind::BadSignature,
        ),
    ] {
        assert_eq!(verify(&json).unwrap_err(), kind);
    }
    assert!(verify(&with(block("ed25519", "release", genuine_signature))).is_ok());
    assert_eq!(
        sign(&unsigned, "two words", &key(), &LIMITS)
            .unwrap_err()
            .kind(),
        Kind::InvalidField(crate::InvalidConfig::new(
            "key_id",
            "1 to 128 letters, digits, '.', '_', ':' and '-', and unique"
        ))
    );
}

#[test]
fn d02_a_document_vouches_for_nobody() {
    let by_stranger = |trusted| {
        signed(&document(
            vec![plugin(json!({"author": "stranger", "trusted": trusted}))],
            json!({}),
        ))
    };
    // The host's list counts, whatever the document says of itself.
    for trusted in [true, false] {
        assert_eq!(
            decide(&policy(), &by_stranger(trusted), |applicant| applicant),
            Err(RefusalReason::AuthorNotTrusted)
        );
        let lax = ManifestPolicy::new(keys()).with_insecure_untrusted_authors(true);
        assert_eq!(
            decide(&lax, &by_stranger(trusted), |applicant| applicant),
            Ok(())
        );
    }
    let distrusted = signed(&document(
        vec![plugin(json!({"trusted": false}))],
        json!({}),
    ));
    assert_eq!(
        decide(&policy(), &distrusted, |applicant| applicant),
        Ok(())
    );
}

#[test]
fn d03_what_is_generated_is_neither_signed_nor_trusted() {
    let entry = PluginEntry::new(
        "cache",
        "1.0.0",
        "cache.so",
        Artifact::of(PROGRAM),
        "somebody",
    );
    let generated = ManifestBuilder::new("2030-01-01T00:00:00Z".parse().unwrap(), "test")
        .with_plugin(entry.unwrap())
        .to_json(&LIMITS)
        .unwrap();
    let value: Value = serde_json::from_slice(&generated).unwrap();
    assert_eq!(value["plugins"][0]["trusted"], json!(false));
    assert_eq!(verify(&generated).unwrap_err(), Kind::Unsigned);
    assert_eq!(
        decide(&policy(), &signed(&generated), |applicant| applicant),
        Err(RefusalReason::AuthorNotTrusted)
    );
}

#[test]
fn d05_what_was_measured_is_what_counts() {
    let other = b"another program, of 24 b";
    assert_eq!(other.len(), PROGRAM.len());
    let declared = Artifact::declared(*Artifact::of(PROGRAM).sha256(), PROGRAM.len() as u64);
    let lax = policy().with_insecure_declared_artifacts(true);
    let lie = Artifact::declared([0; 32], PROGRAM.len() as u64);
    for (policy, artifact, verdict) in [
        (
            &policy(),
            Artifact::of(other),
            Err(RefusalReason::DigestMismatch),
        ),
        (
            &policy(),
            Artifact::of(b"short"),
            Err(RefusalReason::SizeMismatch),
        ),
        (&policy(), declared, Err(RefusalReason::ArtifactNotMeasured)),
        (&lax, declared, Ok(())),
        (&lax, lie, Err(RefusalReason::DigestMismatch)),
        (&lax, Artifact::of(PROGRAM), Ok(())),
    ] {
        let decided = decide(policy, &genuine(), |applicant| {
            applicant.with_artifact(artifact)
        });
        assert_eq!(decided, verdict, "{artifact:?}");
    }
    // A declaration is no proof by itself, and a configuration that takes it for one is not built.
    let build = |rule| Admission::builder(rule).with_manifests(lax.clone()).build();
    for rule in [
        Rule::Manifest,
        Rule::AnyOf(vec![secret(), Rule::Manifest]),
        Rule::AllOf(vec![Rule::Manifest]),
    ] {
        assert_eq!(
            build(rule).unwrap_err().field(),
            "accept_declared_artifacts"
        );
    }
    assert!(build(Rule::AllOf(vec![secret(), Rule::Manifest])).is_ok());
}

#[test]
fn d09_digests_are_the_same_in_either_case() {
    let upper = Hex(Artifact::of(PROGRAM).sha256())
        .to_string()
        .to_uppercase();
    let json = signed(&document(
        vec![plugin(json!({ "sha256": upper }))],
        json!({}),
    ));
    assert_eq!(decide(&policy(), &json, |applicant| applicant), Ok(()));
}

#[test]
fn a_plugin_has_to_be_listed_as_it_presents_itself() {
    let stranger = name("stranger");
    for (reason, decided) in [
        (
            RefusalReason::ArtifactMissing,
            decide(&policy(), &genuine(), |applicant| {
                Applicant::new(applicant.self_id())
            }),
        ),
        (
            RefusalReason::VersionMismatch,
            decide(&policy(), &genuine(), |applicant| {
                applicant.with_version("1.0.1")
            }),
        ),
        (
            RefusalReason::FilenameMismatch,
            decide(&policy(), &genuine(), |applicant| {
                applicant.with_filename("Cache.so")
            }),
        ),
    ] {
        assert_eq!(decided, Err(reason));
    }
    let now = ManualClock::new().wall();
    let manifest = policy().verify(&genuine(), now).unwrap();
    let unknown = Applicant::new(&stranger).with_artifact(Artifact::of(PROGRAM));
    assert_eq!(
        policy().decide(&manifest, &unknown, now, |_| true),
        Err(RefusalReason::PluginUnknown)
    );
    // Any of several versions will do, and the program says which.
    let newer = Artifact::of(b"newer");
    let two = signed(&document(
        vec![
            plugin(json!({})),
            plugin(json!({
                "version": "2.0.0", "filename": "cache2.so", "size": 5,
                "sha256": Hex(newer.sha256()).to_string(),
            })),
        ],
        json!({}),
    ));
    assert_eq!(
        decide(&policy(), &two, |applicant| applicant.with_artifact(newer)),
        Ok(())
    );
    assert_eq!(
        decide(&policy(), &two, |applicant| applicant
            .with_version("1.0.0")
            .with_artifact(newer)),
        Err(RefusalReason::SizeMismatch)
    );
}

#[test]
fn how_it_was_built_matters_where_the_host_says_so() {
    let built = |build_info: Value| {
        signed(&document(
            vec![plugin(json!({ "build_info": build_info }))],
            json!({}),
        ))
    };
    let production = built(json!({"environment": "production", "reproducible": true}));
    let staging = built(json!({"environment": "staging", "reproducible": false}));
    let unsaid = built(json!({}));
    let reproducible = policy().with_reproducible(true);
    let for_production = policy().with_environment("production");
    for (policy, manifest, verdict) in [
        (&policy(), &staging, Ok(())),
        (&reproducible, &production, Ok(())),
        (&reproducible, &staging, Err(RefusalReason::NotReproducible)),
        (&reproducible, &unsaid, Err(RefusalReason::NotReproducible)),
        (
            &reproducible,
            &genuine(),
            Err(RefusalReason::BuildInfoMissing),
        ),
        (&for_production, &production, Ok(())),
        (
            &for_production,
            &staging,
            Err(RefusalReason::EnvironmentNotAllowed),
        ),
        (
            &for_production,
            &unsaid,
            Err(RefusalReason::EnvironmentNotAllowed),
        ),
        (
            &for_production,
            &genuine(),
            Err(RefusalReason::BuildInfoMissing),
        ),
        (
            &for_production.clone().with_environment("staging"),
            &staging,
            Ok(()),
        ),
    ] {
        assert_eq!(decide(policy, manifest, |applicant| applicant), verdict);
    }
}

#[test]
fn a_manifest_counts_within_its_time_and_not_a_nanosecond_longer() {
    let told = Told::default();
    let (builder, clock) = admission(&told);
    let admission = builder.build().unwrap();
    let cache = name("cache");
    let applicant = Applicant::new(&cache).with_artifact(Artifact::of(PROGRAM));
    let reason = || {
        admission
            .admit(&applicant)
            .err()
            .and_then(|error| error.reason())
    };
    assert_eq!(reason(), Some(RefusalReason::ManifestMissing));

    let json = signed(&document(
        vec![plugin(json!({}))],
        json!({"not_before": "2030-01-01T00:00:00Z", "not_after": "2030-01-01T01:00:00Z"}),
    ));
    let start = clock.wall();
    clock.set_wall(start - Duration::from_nanos(1));
    assert_eq!(
        admission.install_manifest(&json).unwrap_err().kind(),
        Kind::NotYetValid
    );
    clock.set_wall(start);
    admission.install_manifest(&json).unwrap();
    assert_eq!(reason(), None);
    clock.set_wall(start - Duration::from_nanos(1));
    assert_eq!(reason(), Some(RefusalReason::ManifestNotYetValid));

    clock.set_wall(start + Duration::from_secs(3600));
    assert_eq!(reason(), None);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(reason(), Some(RefusalReason::ManifestExpired));
    assert_eq!(
        admission.install_manifest(&json).unwrap_err().kind(),
        Kind::Expired
    );
}

#[test]
fn an_earlier_manifest_never_comes_back() {
    let told = Told::default();
    let (builder, clock) = admission(&told);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("watermark");
    let build = |builder: AdmissionBuilder| {
        builder
            .with_watermark(FileWatermark::new(&path))
            .build()
            .unwrap()
    };
    let running = build(builder);
    let install = |json: &[u8]| running.install_manifest(json).map_err(|error| error.kind());

    let later = at("2030-01-01T00:00:00Z");
    install(&later).unwrap();
    assert_eq!(
        install(&at("2029-12-31T23:59:59.999999999Z")).unwrap_err(),
        Kind::RolledBack
    );
    install(&later).unwrap();
    // Of one instant there is one.
    let twin = signed(&document(
        vec![plugin(json!({"version": "9.9.9"}))],
        json!({}),
    ));
    assert_eq!(install(&twin).unwrap_err(), Kind::RolledBack);
    // An instant that has not come yet would keep all others out.
    assert_eq!(
        install(&at("2030-01-01T00:05:00.1Z")).unwrap_err(),
        Kind::FromTheFuture
    );
    install(&at("2030-01-01T00:05:00Z")).unwrap();
    assert_eq!(
        running
            .manifest()
            .unwrap()
            .manifest()
            .generated_at()
            .to_string(),
        "2030-01-01T00:05:00Z"
    );

    // Nor after a restart.
    clock.advance(Duration::from_secs(3600));
    let (builder, _) = admission(&told);
    let restarted = build(builder.with_clock(clock));
    told.take();
    let refused = restarted.install_manifest(&later).unwrap_err();
    assert_eq!(refused.kind(), Kind::RolledBack);
    assert!(restarted.manifest().is_none());
    assert_eq!(
        told.take(),
        ["not installed: manifest: a later one was seen"]
    );
    restarted
        .install_manifest(&at("2030-01-01T00:05:00Z"))
        .unwrap();
    assert_eq!(told.take(), ["installed 2030-01-01T00:05:00Z"]);
}

#[test]
fn a_watermark_that_cannot_be_read_or_kept_lets_no_manifest_in() {
    struct Failing(Arc<AtomicBool>);

    impl Watermark for Failing {
        fn load(&self) -> io::Result<Option<Mark>> {
            Ok(None)
        }

        fn store(&self, _: &Mark) -> io::Result<()> {
            match self.0.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err(io::Error::other("disk full")),
            }
        }
    }

    let works = Arc::new(AtomicBool::new(true));
    let (builder, _) = admission(&Told::default());
    let admission = builder
        .with_watermark(Failing(Arc::clone(&works)))
        .build()
        .unwrap();
    admission
        .install_manifest(&at("2029-01-01T00:00:00Z"))
        .unwrap();
    works.store(false, Ordering::Relaxed);
    let error = admission.install_manifest(&genuine()).unwrap_err();
    assert_eq!(error.kind(), Kind::Watermark);
    let in_force = admission.manifest().unwrap();
    assert_eq!(
        in_force.manifest().generated_at().to_string(),
        "2029-01-01T00:00:00Z"
    );

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("watermark");
    let file = FileWatermark::new(&path);
    assert_eq!(file.load().unwrap(), None);
    let mark = Mark::of(&verify(&genuine()).unwrap());
    file.store(&mark).unwrap();
    assert_eq!(file.load().unwrap(), Some(mark));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    for damaged in ["", "2030-01-01T00:00:00Z", "now 00\n"] {
        std::fs::write(&path, damaged).unwrap();
        assert!(file.load().is_err(), "{damaged:?}");
    }
    let elsewhere = directory.path().join("not-mounted/watermark");
    FileWatermark::new(elsewhere).load().unwrap_err();
}

#[test]
fn a_watermark_that_is_read_only_is_heeded_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("watermark");
    let trial = || {
        let (builder, _) = admission(&Told::default());
        // In either order.
        let builder = builder.with_read_only_watermark(true);
        builder
            .with_watermark(FileWatermark::new(&path))
            .build()
            .unwrap()
    };
    let (early, late) = (at("2029-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z"));

    let first = trial();
    first.install_manifest(&late).unwrap();
    assert!(!path.exists());
    let error = first.install_manifest(&early).unwrap_err();
    assert_eq!(error.kind(), Kind::RolledBack, "of its own it knows");

    let file = FileWatermark::new(&path);
    let mark = |json: &[u8]| Mark::of(&verify(json).unwrap());
    file.store(&mark(&early)).unwrap();
    trial().install_manifest(&late).unwrap();
    assert_eq!(file.load().unwrap(), Some(mark(&early)));
    file.store(&mark(&late)).unwrap();
    let error = trial().install_manifest(&early).unwrap_err();
    assert_eq!(error.kind(), Kind::RolledBack);
}

#[test]
fn a_plugin_comes_after_those_it_depends_on() {
    let (builder, _) = admission(&Told::default());
    let elsewhere = Arc::new(Mutex::new(None));
    let asked = Arc::clone(&elsewhere);
    let admission = builder
        .with_presence(move |name| asked.lock().as_deref() == Some(name))
        .build()
        .unwrap();
    let store = plugin(json!({"name": "store", "filename": "store.so"}));
    let cache = plugin(json!({"dependencies": ["Store"]}));
    let json = signed(&document([store, cache.clone()], json!({})));
    admission.install_manifest(&json).unwrap();

    let (store, cache_name) = (name("store"), name("cache"));
    let of = |name| Applicant::new(name).with_artifact(Artifact::of(PROGRAM));
    let reason = || {
        let admitted = admission.admit(&of(&cache_name));
        admitted.err().and_then(|error| error.reason())
    };
    let missing = Some(RefusalReason::DependencyMissing);
    assert_eq!(reason(), missing);
    let admitted = admission.admit(&of(&store)).unwrap();
    assert_eq!(reason(), missing, "it is not there yet");
    admitted.confirm().unwrap();
    assert_eq!(reason(), None);

    admission.left(&store);
    assert_eq!(reason(), missing);
    *elsewhere.lock() = Some("store".to_owned());
    assert_eq!(reason(), None, "another copy has it");
    *elsewhere.lock() = None;

    // A manifest that does not list it any more forgets that it is there.
    admission.admit(&of(&store)).unwrap().confirm().unwrap();
    let independent = plugin(json!({}));
    let without = signed(&document(
        vec![independent],
        json!({"generated_at": "2030-01-01T00:01:00Z"}),
    ));
    admission.install_manifest(&without).unwrap();
    let again = plugin(json!({"name": "store", "filename": "store.so"}));
    let with = signed(&document(
        vec![again, cache],
        json!({"generated_at": "2030-01-01T00:02:00Z"}),
    ));
    admission.install_manifest(&with).unwrap();
    assert_eq!(reason(), missing);
}

#[tokio::test]
async fn nobody_can_depend_on_a_plugin_in_quarantine_or_one_that_came_by_other_means() {
    let clock = ManualClock::new();
    let admission = Admission::builder(Rule::AnyOf(vec![Rule::Manifest, secret()]))
        .with_manifests(policy())
        .with_clock(clock)
        .build()
        .unwrap();
    let store = plugin(json!({"name": "store", "filename": "store.so"}));
    let cache = plugin(json!({"dependencies": ["store"]}));
    admission
        .install_manifest(&signed(&document([store, cache], json!({}))))
        .unwrap();
    let (store, cache) = (name("store"), name("cache"));
    let of = |name| Applicant::new(name).with_artifact(Artifact::of(PROGRAM));

    let by_secret = Applicant::new(&store).with_secret("CONNECT_PLUGIN", "correct-horse-battery");
    let admitted = admission.admit(&by_secret).unwrap();
    assert!(admitted.grounds().secret() && !admitted.grounds().manifest());
    admitted.confirm().unwrap();
    assert!(admission.admit(&of(&cache)).is_err());

    admission.admit(&of(&store)).unwrap().confirm().unwrap();
    assert!(admission.admit(&of(&cache)).is_ok());
    let tokens = tokens();
    let suspect = Suspect::Plugin(store.clone());
    admission.quarantine(&tokens, &suspect).await.unwrap();
    admission.release(&suspect);
    assert!(admission.admit(&of(&cache)).is_err());
}

/// One that admits by a manifest of a store and a cache, which depends on it.
fn of_cache_and_store() -> Admission {
    let admission = Admission::builder(Rule::Manifest)
        .with_manifests(policy())
        .with_clock(ManualClock::new())
        .build()
        .unwrap();
    let store = plugin(json!({"name": "store", "filename": "store.so"}));
    let cache = plugin(json!({"dependencies": ["store"]}));
    admission
        .install_manifest(&signed(&document([store, cache], json!({}))))
        .unwrap();
    admission
}

fn tokens() -> crate::Tokens<crate::MemoryStore> {
    let keys = crate::token::KeyRing::random(&SystemRng).unwrap();
    let tokens = crate::Tokens::builder(crate::MemoryStore::new(10).unwrap(), keys);
    tokens.build().unwrap()
}

#[tokio::test]
async fn nobody_can_depend_on_what_a_peer_in_quarantine_has_run() {
    let admission = of_cache_and_store();
    let (store, cache) = (name("store"), name("cache"));
    let of = |name| Applicant::new(name).with_artifact(Artifact::of(PROGRAM));
    let tokens = tokens();
    let [a, b] = ["a", "b"].map(|name| tower_plugin_core::Principal::new("mtls-dns", name));
    for peer in [&a, &b] {
        let admitted = admission.admit(&of(&store).with_peer(peer)).unwrap();
        admitted.confirm().unwrap();
    }
    admission
        .quarantine(&tokens, &Suspect::of(&a))
        .await
        .unwrap();
    assert!(admission.admit(&of(&cache)).is_ok(), "the other runs it");
    admission
        .quarantine(&tokens, &Suspect::of(&b))
        .await
        .unwrap();
    assert!(admission.admit(&of(&cache)).is_err());

    admission.admit(&of(&store)).unwrap().confirm().unwrap();
    admission
        .quarantine(&tokens, &Suspect::of(&b))
        .await
        .unwrap();
    assert!(
        admission.admit(&of(&cache)).is_ok(),
        "nobody's peer runs it"
    );
}

/// Of the two, whoever comes later has to know of the other.
#[test]
fn a_plugin_that_arrives_while_it_is_put_in_quarantine_is_not_there() {
    let admission = of_cache_and_store();
    let (store, cache) = (name("store"), name("cache"));
    let of = |name| Applicant::new(name).with_artifact(Artifact::of(PROGRAM));
    let (tokens, suspect) = (tokens(), Suspect::Plugin(store.clone()));
    let admitted = admission.admit(&of(&store)).unwrap();
    std::thread::scope(|scope| {
        let held = admission.0.shelf.as_ref().unwrap().hold();
        let arriving = scope.spawn(|| admitted.confirm());
        // It has seen that it is not kept out and is not on the shelf yet: nobody may put it in quarantine now.
        let (mut seen, mut looks) = (0, 0);
        while seen < 1000 {
            looks += 1;
            assert!(looks < 20_000_000, "the door is open");
            seen = match admission.0.quarantine.is_locked() {
                true => seen + 1,
                false => 0,
            };
            std::thread::yield_now();
        }
        let putting = scope.spawn(|| {
            let mut quarantine = std::pin::pin!(admission.quarantine(&tokens, &suspect));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            quarantine.as_mut().poll(&mut context).is_ready()
        });
        drop(held);
        arriving.join().unwrap().unwrap();
        assert!(putting.join().unwrap());
    });
    admission.release(&suspect);
    assert!(admission.admit(&of(&cache)).is_err());
}

#[test]
fn rules_and_policies_that_mean_nothing_are_not_built() {
    let build = |rule, policy: ManifestPolicy| Admission::builder(rule).with_manifests(policy);
    let manifest = |policy| build(Rule::Manifest, policy);
    let limits = |limits| manifest(policy().with_limits(limits));
    let untrusting = ManifestPolicy::new(keys());
    let many = (0..257).fold(untrusting.clone(), |policy, n| {
        policy.with_trusted_author(format!("author {n}"))
    });
    for (builder, field) in [
        (Admission::builder(Rule::Manifest), "manifests"),
        (build(secret(), policy()), "rule"),
        (Admission::builder(secret()).with_manifest_path("x"), "rule"),
        (
            manifest(ManifestPolicy::new(TrustedKeys::new()).with_trusted_author("a")),
            "trusted_keys",
        ),
        (manifest(untrusting.clone()), "trusted_authors"),
        (
            manifest(untrusting.with_trusted_author("")),
            "trusted_authors",
        ),
        (manifest(many), "trusted_authors"),
        (
            manifest(policy().with_insecure_untrusted_authors(true)),
            "allow_untrusted",
        ),
        (
            manifest(policy().with_environment("")),
            "allowed_environments",
        ),
        (limits(LIMITS.with_max_bytes(1023)), "max_manifest_bytes"),
        (
            limits(LIMITS.with_max_bytes((16 << 20) + 1)),
            "max_manifest_bytes",
        ),
        (limits(LIMITS.with_max_plugins(0)), "max_manifest_plugins"),
        (
            limits(LIMITS.with_max_plugins(10_001)),
            "max_manifest_plugins",
        ),
        (
            limits(LIMITS.with_max_artifact_bytes(0)),
            "max_artifact_bytes",
        ),
        (
            limits(LIMITS.with_max_artifact_bytes((1 << 40) + 1)),
            "max_artifact_bytes",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    let not_in_use = Admission::builder(secret()).build().unwrap();
    assert_eq!(
        not_in_use.install_manifest(b"").unwrap_err().kind(),
        Kind::NotInUse
    );
}

// Every host without a manifest began its audit log with a refused one.
#[test]
fn what_nobody_has_offered_is_not_told_of_as_refused() {
    let told = Told::default();
    let builder = told.listen(Admission::builder(secret()));
    let admission = builder.build().unwrap();
    let error = admission.load_manifest().unwrap_err();
    assert_eq!(error.kind(), Kind::NotInUse);
    assert_eq!(told.take(), [""; 0]);
    admission.install_manifest(b"{}").unwrap_err();
    assert_eq!(told.take(), ["not installed: manifest: none is asked for"]);
}

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß\"\\\\/<>€😀][a-zA-Z0-9 äß\"\\\\/<>€😀]{0,20}[a-z]"
}

prop_compose! {
    fn manifests()(
        generated_by in words(), author in words(), environment in words(),
        versions in prop::collection::vec(("[0-9a-z.+-]{1,10}", any::<[u8; 8]>()), 1..5),
        seconds in 0..1_893_456_000_u64,
    ) -> Vec<u8> {
        let generated_at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let builder = ManifestBuilder::new(Timestamp::of(generated_at).unwrap(), &generated_by);
        versions
            .into_iter()
            .enumerate()
            .fold(builder, |builder, (n, (version, program))| {
                let name = format!("p{n}");
                let entry =
                    PluginEntry::new(&name, &version, &name, Artifact::of(&program), &author);
                let build_info = BuildInfo::new(&environment).unwrap();
                builder.with_plugin(entry.unwrap().with_build_info(build_info))
            })
            .to_json(&LIMITS)
            .unwrap()
    }
}

/// Without white space, of which a document may have more or less.
fn compact(json: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_vec(&value).unwrap()
}

proptest! {
    #[test]
    fn what_is_signed_is_believed_however_it_is_laid_out(json in manifests()) {
        let json = signed(&json);
        prop_assert!(verify(&json).is_ok());
        prop_assert!(verify(&compact(&json)).is_ok());
        prop_assert_eq!(&signed(&json), &json, "signing again changes nothing");
    }

    #[test]
    fn a_changed_byte_is_never_believed(json in manifests(), at in any::<Index>(), flip in 1..=u8::MAX) {
        let json = compact(&signed(&json));
        let mut changed = json.clone();
        let at = at.index(json.len());
        changed[at] ^= flip;
        prop_assert!(verify(&changed).is_err(), "{}", String::from_utf8_lossy(&changed));
    }

    #[test]
    fn a_byte_more_or_less_is_never_believed_to_say_something_else(json in manifests(), at in any::<Index>(), byte in any::<u8>()) {
        let json = compact(&signed(&json));
        let at = at.index(json.len());
        let mut less = json.clone();
        less.remove(at);
        prop_assert!(verify(&less).is_err());
        let mut more = json.clone();
        more.insert(at, byte);
        // White space between two words, and a backslash before a slash: other spellings of the same.
        if let Ok(read) = verify(&more) {
            let whole = verify(&json).unwrap();
            let (read, whole) = (read.manifest().signed_bytes(), whole.manifest().signed_bytes());
            prop_assert_eq!(read, whole, "{}", String::from_utf8_lossy(&more));
        }
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_returns(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
