use std::{fs, path::Path};

use serde_json::{Value, json};
use tower_plugin_core::{Clock, ManualClock, Principal};

use super::*;
use crate::{
    admission::{
        AdmissionError, Applicant, Artifact, RefusalReason,
        manifest::{
            BuildInfo, ManifestBuilder, ManifestErrorKind, ManifestKey, PluginEntry, Timestamp,
            sign,
        },
    },
    token::SelfId,
};

const PROGRAM: &[u8] = b"the program";
const SECRET: &str = "correct-horse-battery";

fn key() -> ManifestKey {
    ManifestKey::from_seed(&[7; 32])
}

/// A directory with a signed manifest and a secret, and settings that go with them.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        place.write_manifest("our-team", "production");
        place.write_secret(SECRET, 0o600);
        place
    }

    fn path(&self, name: &str) -> String {
        self.directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn write_manifest(&self, author: &str, environment: &str) {
        let limits = ManifestLimits::new();
        let plugin = PluginEntry::new("cache", "1", "cache", Artifact::of(PROGRAM), author)
            .unwrap()
            .with_build_info(BuildInfo::new(environment).unwrap());
        let now = Timestamp::of(ManualClock::new().wall()).unwrap();
        let json = ManifestBuilder::new(now, "test")
            .with_plugin(plugin)
            .to_json(&limits);
        let json = sign(&json.unwrap(), "release", &key(), &limits).unwrap();
        fs::write(self.path("manifest.json"), json).unwrap();
    }

    fn write_secret(&self, secret: &str, mode: u32) {
        let path = self.path("secret");
        fs::write(&path, format!("{secret}\n")).unwrap();
        chmod(Path::new(&path), mode);
    }

    fn settings(&self, change: &Value) -> Value {
        let mut settings = json!({
            "manifest_path": self.path("manifest.json"),
            "trusted_keys": {"release": STANDARD.encode(key().public_key())},
            "trusted_authors": ["our-team"],
        });
        for (name, value) in change.as_object().unwrap() {
            match value.as_str() {
                Some("-") => settings.as_object_mut().unwrap().remove(name),
                _ => settings
                    .as_object_mut()
                    .unwrap()
                    .insert(name.clone(), value.clone()),
            };
        }
        settings
    }

    fn build(&self, change: &Value) -> Result<Admission, ConfigError> {
        let config: AdmissionConfig = serde_json::from_value(self.settings(change)).unwrap();
        Ok(config.builder()?.with_clock(ManualClock::new()).build()?)
    }

    fn built(&self, change: &Value) -> Admission {
        let admission = self.build(change).unwrap();
        admission.load_manifest().unwrap();
        admission
    }

    fn secret_settings(&self, change: &Value) -> Value {
        let mut settings = json!({
            "require_manifest": false, "rule": "secret", "bootstrap_secret_file": self.path("secret"),
            "manifest_path": "-", "trusted_keys": {}, "trusted_authors": [],
        });
        let members = settings.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        settings
    }
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn chmod(_: &Path, _: u32) {}

fn cache() -> SelfId {
    "cache".parse().unwrap()
}

fn reason(admission: &Admission, applicant: &Applicant<'_>) -> Option<RefusalReason> {
    match admission.admit(applicant) {
        Ok(_) => None,
        Err(AdmissionError::Refused(reason)) => Some(reason),
        Err(error) => panic!("{error}"),
    }
}

fn of_program(name: &SelfId) -> Applicant<'_> {
    Applicant::new(name).with_artifact(Artifact::of(PROGRAM))
}

#[test]
fn d01_nobody_is_admitted_before_a_manifest_was_verified() {
    let place = Place::new();
    let admission = place.build(&json!({})).unwrap();
    let missing = Some(RefusalReason::ManifestMissing);
    assert_eq!(reason(&admission, &of_program(&cache())), missing);
    admission.load_manifest().unwrap();
    assert_eq!(reason(&admission, &of_program(&cache())), None);
}

#[test]
fn d04_the_defaults_are_closed_and_what_they_lack_is_said() {
    let build = |json: &str| {
        let config: AdmissionConfig = serde_json::from_str(json).unwrap();
        Ok::<_, ConfigError>(config.builder()?.build()?)
    };
    let keys = r#""trusted_keys": {"k": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#;
    assert_eq!(build("{}").unwrap_err().field(), "trusted_keys");
    let nobody = build(&format!("{{{keys}}}")).unwrap_err();
    assert_eq!(nobody.field(), "trusted_authors");
    assert_eq!(
        build(r#"{"require_manifest": false}"#).unwrap_err().field(),
        "rule"
    );

    // With the least that is needed they work as they are.
    let place = Place::new();
    let admission = place.built(&json!({}));
    assert_eq!(reason(&admission, &of_program(&cache())), None);
    assert_eq!(
        reason(&admission, &Applicant::new(&cache())),
        Some(RefusalReason::ArtifactMissing)
    );
}

#[test]
fn d08_a_name_nobody_knows_is_an_error() {
    for json in [
        r#"{"max_plugin_memory": "100MB"}"#,
        r#"{"MaxConcurrentLoads": 3}"#,
        r#"{"require_signature": true}"#,
        r#"{"bootstrap_secret": "correct-horse-battery"}"#,
        r#"{"rule": "sesame"}"#,
        r#"{"allowed_peers": [{"kind": "mtls-dns", "subject": "a", "name": "b"}]}"#,
        r#"{"max_concurrent_admissions": -1}"#,
    ] {
        assert!(
            serde_json::from_str::<AdmissionConfig>(json).is_err(),
            "{json}"
        );
    }
}

#[test]
fn d08_the_settings_of_manifests_are_obeyed() {
    let place = Place::new();
    let name = cache();
    let admitted = |change| reason(&place.built(&change), &of_program(&name));

    place.write_manifest("stranger", "staging");
    assert_eq!(admitted(json!({})), Some(RefusalReason::AuthorNotTrusted));
    assert_eq!(admitted(json!({"trusted_authors": ["stranger"]})), None);
    assert_eq!(
        admitted(json!({"trusted_authors": [], "allow_untrusted": true})),
        None
    );
    place.write_manifest("our-team", "staging");
    assert_eq!(
        admitted(json!({"require_reproducible": true})),
        Some(RefusalReason::NotReproducible)
    );
    assert_eq!(
        admitted(json!({"allowed_environments": ["production"]})),
        Some(RefusalReason::EnvironmentNotAllowed)
    );
    assert_eq!(admitted(json!({"allowed_environments": ["staging"]})), None);

    let load = |change| {
        let loaded = place.build(&change).unwrap().load_manifest();
        loaded.map(drop).map_err(|error| error.kind())
    };
    let other = STANDARD.encode(ManifestKey::from_seed(&[8; 32]).public_key());
    assert_eq!(
        load(json!({"trusted_keys": {"release": other}})),
        Err(ManifestErrorKind::BadSignature)
    );
    assert_eq!(
        load(json!({"trusted_keys": {"other": other}})),
        Err(ManifestErrorKind::UnknownKey)
    );
    assert_eq!(
        load(json!({"manifest_path": place.path("none")})),
        Err(ManifestErrorKind::Io)
    );
    assert_eq!(
        load(json!({"manifest_path": place.path("")})),
        Err(ManifestErrorKind::Io),
        "a directory is no manifest"
    );
    assert_eq!(
        load(json!({"manifest_path": "-"})),
        Err(ManifestErrorKind::NotInUse)
    );
    let size = load(json!({"max_artifact_bytes": PROGRAM.len() - 1})).unwrap_err();
    assert!(matches!(size, ManifestErrorKind::InvalidField(it) if it.field() == "size"));
    let manifest = fs::read_to_string(place.path("manifest.json")).unwrap();
    fs::write(
        place.path("manifest.json"),
        format!("{manifest}{}", " ".repeat(1024)),
    )
    .unwrap();
    assert_eq!(
        load(json!({"max_manifest_bytes": 1024})),
        Err(ManifestErrorKind::TooLarge)
    );
    assert_eq!(load(json!({"max_manifest_bytes": 2048})), Ok(()));
    let two = manifest.replace("\"plugins\": [", "\"plugins\": [{},");
    fs::write(place.path("manifest.json"), two).unwrap();
    assert_eq!(
        load(json!({"max_manifest_plugins": 1})),
        Err(ManifestErrorKind::TooManyPlugins)
    );
    fs::write(place.path("manifest.json"), manifest).unwrap();

    let watermark = place.path("watermark");
    assert_eq!(load(json!({"manifest_watermark_path": watermark})), Ok(()));
    assert!(Path::new(&watermark).exists());
    assert_eq!(
        load(json!({"manifest_watermark_path": place.path("no/such/place")})),
        Err(ManifestErrorKind::Watermark)
    );
}

#[test]
fn d08_max_concurrent_admissions_is_obeyed() {
    let place = Place::new();
    let name = cache();
    for (change, limit) in [
        (json!({}), 3),
        (json!({"max_concurrent_admissions": 1}), 1),
        (json!({"max_concurrent_admissions": 5}), 5),
    ] {
        let admission = place.built(&change);
        let going_on: Vec<_> = (0..limit)
            .map(|_| admission.admit(&of_program(&name)).unwrap())
            .collect();
        let busy = admission.admit(&of_program(&name));
        assert!(matches!(busy, Err(AdmissionError::Busy)), "{limit}");
        drop(going_on);
    }
}

#[test]
fn d08_rules_are_combined_as_they_say_and_a_required_manifest_is_required() {
    let place = Place::new();
    let name = cache();
    let knows = Applicant::new(&name).with_secret("CONNECT_PLUGIN", SECRET);
    let file = place.path("secret");
    let missing = Some(RefusalReason::ArtifactMissing);

    let both = place.built(&json!({"rule": "secret", "bootstrap_secret_file": file}));
    assert_eq!(reason(&both, &knows), missing);
    assert_eq!(
        reason(&both, &of_program(&name)),
        Some(RefusalReason::SecretMissing)
    );
    assert_eq!(
        reason(&both, &knows.with_artifact(Artifact::of(PROGRAM))),
        None
    );

    let either = place.built(&json!({
        "require_manifest": false, "bootstrap_secret_file": file,
        "rule": {"any_of": ["secret", "manifest"]},
    }));
    assert_eq!(reason(&either, &knows), None);
    assert_eq!(reason(&either, &of_program(&name)), None);
    assert!(reason(&either, &Applicant::new(&name)).is_some());

    let declared = Artifact::declared(*Artifact::of(PROGRAM).sha256(), PROGRAM.len() as u64);
    let says_so = knows.with_artifact(declared);
    assert_eq!(
        reason(&both, &says_so),
        Some(RefusalReason::ArtifactNotMeasured)
    );
    let believing = place.built(&json!({
        "rule": "secret", "bootstrap_secret_file": file, "accept_declared_artifacts": true,
    }));
    assert_eq!(reason(&believing, &says_so), None);
    let alone = place.build(&json!({"accept_declared_artifacts": true}));
    assert_eq!(alone.unwrap_err().field(), "accept_declared_artifacts");

    let open = place.secret_settings(&json!({"rule": "open", "bootstrap_secret_file": "-"}));
    assert!(place.build(&open).unwrap().is_open());
    let closed = place.secret_settings(&json!({"rule": "closed", "bootstrap_secret_file": "-"}));
    let closed = place.build(&closed).unwrap();
    assert_eq!(reason(&closed, &knows), Some(RefusalReason::Closed));
    assert_eq!(
        place.build(&json!({"rule": "open"})).unwrap_err().field(),
        "require_manifest"
    );
}

#[test]
fn d08_peers_and_thumbprints_are_obeyed() {
    let place = Place::new();
    let name = cache();
    let admission = place
        .build(&place.secret_settings(&json!({
            "rule": "peer", "bootstrap_secret_file": "-",
            "allowed_peers": [
                {"kind": "mtls-dns", "subject": "any.example"},
                {"kind": "mtls-dns", "subject": "logger.example", "self_id": "logger"},
            ],
            "allowed_thumbprints": [URL_SAFE_NO_PAD.encode([7; 32])],
        })))
        .unwrap();
    let by_thumbprint =
        Principal::new("mtls-cn", "x").with_attribute("x5t#S256", URL_SAFE_NO_PAD.encode([7; 32]));
    for (peer, verdict) in [
        (Principal::new("mtls-dns", "any.example"), None),
        (by_thumbprint, None),
        (
            Principal::new("mtls-dns", "logger.example"),
            Some(RefusalReason::PeerNotAllowed),
        ),
    ] {
        assert_eq!(
            reason(&admission, &Applicant::new(&name).with_peer(&peer)),
            verdict
        );
    }
}

#[test]
fn f13_a_name_without_a_secret_is_an_error_and_the_name_is_obeyed() {
    let place = Place::new();
    let name = cache();
    let nameless = place.build(&json!({"bootstrap_secret_name": "MY_PLUGIN"}));
    assert_eq!(nameless.unwrap_err().field(), "bootstrap_secret_name");

    let settings = place.secret_settings(&json!({"bootstrap_secret_name": "MY_PLUGIN"}));
    let admission = place.build(&settings).unwrap();
    let sends = |key| Applicant::new(&name).with_secret(key, SECRET);
    assert_eq!(reason(&admission, &sends("MY_PLUGIN")), None);
    assert_eq!(
        reason(&admission, &sends("CONNECT_PLUGIN")),
        Some(RefusalReason::SecretWrong)
    );
}

#[test]
fn a_secret_comes_from_a_file_that_is_its_owners_alone() {
    let place = Place::new();
    let build = || place.build(&place.secret_settings(&json!({})));
    assert!(build().is_ok());
    for (secret, mode) in [
        ("short", 0o600),
        ("two words are two too many", 0o600),
        ("d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e", 0o600),
    ] {
        place.write_secret(secret, mode);
        let error = build().unwrap_err();
        assert_eq!(error.field(), "bootstrap_secret");
        assert!(!format!("{error} {error:?}").contains(secret));
    }
    place.write_secret(&"x".repeat(4096), 0o600);
    assert_eq!(build().unwrap_err().field(), "bootstrap_secret_file");
    #[cfg(unix)]
    for mode in [0o640, 0o604, 0o620] {
        place.write_secret(SECRET, mode);
        let error = build().unwrap_err();
        assert_eq!(error.field(), "bootstrap_secret_file");
        assert!(std::error::Error::source(&error).is_some());
    }
    let gone = json!({"bootstrap_secret_file": place.path("none")});
    let gone = place.build(&place.secret_settings(&gone)).unwrap_err();
    assert_eq!(gone.field(), "bootstrap_secret_file");
}

#[test]
fn a_setting_that_would_be_ignored_is_an_error() {
    let place = Place::new();
    for (change, field) in [
        (
            json!({"bootstrap_secret_file": place.path("secret")}),
            "bootstrap_secret_file",
        ),
        (json!({"rule": "secret"}), "bootstrap_secret_file"),
        (json!({"rule": "peer"}), "allowed_peers"),
        (
            json!({"allowed_peers": [{"kind": "mtls-dns", "subject": "a"}]}),
            "allowed_peers",
        ),
        (
            json!({"allowed_thumbprints": [URL_SAFE_NO_PAD.encode([7; 32])]}),
            "allowed_peers",
        ),
        (
            json!({"rule": "peer", "allowed_thumbprints": ["AAAA"]}),
            "allowed_thumbprints",
        ),
        (
            json!({"rule": "peer", "allowed_peers": [{"kind": "k", "subject": "s", "self_id": "1"}]}),
            "allowed_peers",
        ),
        (
            json!({"rule": "peer", "allowed_peers": [{"kind": "runtime", "subject": "s"}]}),
            "peers",
        ),
        (json!({"trusted_keys": {"release": "AAAA"}}), "trusted_keys"),
        (
            json!({"trusted_keys": {"two words": STANDARD.encode(key().public_key())}}),
            "key_id",
        ),
        (json!({"allow_untrusted": true}), "allow_untrusted"),
        (
            json!({"max_concurrent_admissions": 0}),
            "max_concurrent_admissions",
        ),
        (json!({"max_quarantined": 0}), "max_quarantined"),
        (json!({"max_manifest_bytes": 1}), "max_manifest_bytes"),
        (json!({"max_manifest_plugins": 0}), "max_manifest_plugins"),
        (json!({"max_artifact_bytes": 0}), "max_artifact_bytes"),
    ] {
        assert_eq!(place.build(&change).unwrap_err().field(), field, "{change}");
    }
    for (field, value) in [
        ("manifest_path", json!("manifest.json")),
        ("manifest_watermark_path", json!("watermark")),
        (
            "trusted_keys",
            json!({"k": STANDARD.encode(key().public_key())}),
        ),
        ("trusted_authors", json!(["a"])),
        ("allow_untrusted", json!(true)),
        ("accept_declared_artifacts", json!(true)),
        ("require_reproducible", json!(true)),
        ("allowed_environments", json!(["production"])),
        // What is in force without them is no excuse for not looking at them.
        ("max_manifest_bytes", json!(1 << 20)),
        ("max_manifest_plugins", json!(1000)),
        ("max_artifact_bytes", json!(50 << 20)),
    ] {
        let settings = place.secret_settings(&json!({ field: value }));
        assert_eq!(place.build(&settings).unwrap_err().field(), field);
    }
}
