use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;
use tower_plugin_core::Principal;

use super::{sealed::InvalidFile, *};
use crate::{
    config::InvalidConfig,
    file::{FileKey, FileKeyRing, beside},
    random::SystemRng,
    token::{KeyRing, Pepper, PresentedToken, Rng, RngError, TokenKind, check, mint},
};

struct Rig {
    directory: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        beside(&self.path(), suffix)
    }

    fn builder(&self, active: u8, others: &[u8]) -> EncryptedFileStoreBuilder {
        let key = |version: u8| FileKey::new(version.into(), &[version; 32]).unwrap();
        let keys = FileKeyRing::new(key(active), others.iter().copied().map(key)).unwrap();
        EncryptedFileStore::builder(self.path(), keys)
    }

    fn create(&self) -> EncryptedFileStore {
        self.builder(1, &[]).create().unwrap()
    }

    fn open(&self) -> Result<EncryptedFileStore, FileErrorKind> {
        self.builder(1, &[]).open().map_err(|error| error.kind())
    }
}

fn record() -> Record {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, &SystemRng).unwrap();
    let expires_at = UNIX_EPOCH + Duration::from_secs(60);
    Record::new(&minted, Principal::new("a", "b"), UNIX_EPOCH, expires_at)
}

async fn insert(store: &EncryptedFileStore) -> TokenId {
    let record = record();
    let id = record.id();
    store.insert(record, UNIX_EPOCH).await.unwrap();
    id
}

fn has(store: &EncryptedFileStore, id: &TokenId) -> bool {
    store.0.memory.find(id).is_some()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let rig = Rig::new();
    let store = rig.create();
    let (kept, revoked, taken) = (
        insert(&store).await,
        insert(&store).await,
        insert(&store).await,
    );
    let superseded = record().with_idle_timeout(Duration::from_secs(9));
    store.insert(superseded.clone(), UNIX_EPOCH).await.unwrap();
    let next = superseded.superseded(kept, UNIX_EPOCH);
    assert!(store.update(next.clone(), UNIX_EPOCH).await.unwrap());
    let revocation = Revocation::Tokens(&[revoked]);
    assert_eq!(store.revoke(revocation).await.unwrap(), 1);
    assert!(store.take(&taken).await.unwrap().is_some());
    let sequence = store.sequence();
    drop(store);

    let store = rig.open().unwrap();
    assert_eq!(store.sequence(), sequence);
    assert!(has(&store, &kept));
    assert!(!has(&store, &revoked) && !has(&store, &taken));
    let found = store.0.memory.find(&next.id()).unwrap();
    assert_eq!(found.to_bytes(), next.to_bytes());
}

#[tokio::test]
async fn a_use_is_written_down_with_the_next_change() {
    let rig = Rig::new();
    let store = rig.create();
    let first = record().with_idle_timeout(Duration::from_secs(9));
    store.insert(first.clone(), UNIX_EPOCH).await.unwrap();
    let before = store.sequence();
    let touched = first.touched(UNIX_EPOCH + Duration::from_secs(5));
    assert!(store.update(touched.clone(), UNIX_EPOCH).await.unwrap());
    assert_eq!(store.sequence(), before);
    insert(&store).await;
    drop(store);
    let store = rig.open().unwrap();
    assert_eq!(store.0.memory.find(&first.id()).unwrap().version(), 1);
}

#[tokio::test]
async fn another_key_is_taken_up_at_once() {
    let rig = Rig::new();
    let id = insert(&rig.create()).await;
    let store = rig.builder(2, &[1]).open().unwrap();
    assert!(has(&store, &id));
    drop(store);

    // The old key has nothing left to decrypt, not even the anchor.
    let store = rig.builder(2, &[]).open().unwrap();
    assert!(has(&store, &id));
    drop(store);
    let unknown = FileErrorKind::Invalid(InvalidFile::UnknownKey(2));
    assert_eq!(rig.open().unwrap_err(), unknown);
}

#[tokio::test]
async fn an_old_file_is_not_taken_back() {
    let rig = Rig::new();
    let store = rig.create();
    let id = insert(&store).await;
    let before = fs::read(rig.path()).unwrap();
    store.revoke(Revocation::Tokens(&[id])).await.unwrap();

    // Not while it runs:
    fs::write(rig.path(), &before).unwrap();
    let refused = store.insert(record(), UNIX_EPOCH).await;
    assert!(matches!(refused, Err(InsertError::Unavailable(_))));
    assert!(!has(&store, &id));
    drop(store);
    // and not afterwards.
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::RolledBack);
}

#[tokio::test]
async fn another_stores_files_are_no_substitute() {
    let (here, there) = (Rig::new(), Rig::new());
    insert(&here.create()).await;
    let other = there.create();
    for _ in 0..5 {
        insert(&other).await;
    }
    drop(other);
    fs::copy(there.path(), here.path()).unwrap();
    assert_eq!(here.open().unwrap_err(), FileErrorKind::RolledBack);
    // Nor is an anchor a file of records.
    fs::copy(here.file(".anchor"), here.path()).unwrap();
    let altered = FileErrorKind::Invalid(InvalidFile::Altered);
    assert_eq!(here.open().unwrap_err(), altered);
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_an_empty_one() {
    let rig = Rig::new();
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::NotFound);
    let store = rig.create();
    insert(&store).await;
    fs::remove_file(rig.path()).unwrap();
    assert!(store.insert(record(), UNIX_EPOCH).await.is_err());
    drop(store);
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::NotFound);
    let made_anew = rig.builder(1, &[]).create().unwrap_err();
    assert_eq!(made_anew.kind(), FileErrorKind::AlreadyExists);
    fs::remove_file(rig.file(".anchor")).unwrap();
    rig.create();
    fs::remove_file(rig.file(".anchor")).unwrap();
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::NotFound);
}

#[tokio::test]
async fn only_the_owner_may_have_access() {
    let rig = Rig::new();
    insert(&rig.create()).await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for suffix in ["", ".anchor", ".lock"] {
        assert_eq!(mode(rig.file(suffix)), 0o600, "{suffix}");
    }
    for suffix in ["", ".anchor"] {
        for exposed in [0o640, 0o620, 0o604, 0o602, 0o644, 0o666] {
            fs::set_permissions(rig.file(suffix), PermissionsExt::from_mode(exposed)).unwrap();
            assert_eq!(
                rig.open().unwrap_err(),
                FileErrorKind::Exposed,
                "{exposed:o}"
            );
        }
        fs::set_permissions(rig.file(suffix), PermissionsExt::from_mode(0o600)).unwrap();
    }
    rig.open().unwrap();

    // A link may lead anywhere tomorrow.
    let elsewhere = rig.file(".elsewhere");
    fs::rename(rig.path(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rig.path()).unwrap();
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::Exposed);
}

#[test]
fn a_store_is_open_once() {
    let rig = Rig::new();
    let store = rig.create();
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::InUse);
    drop(store);
    rig.open().unwrap();
}

#[tokio::test]
async fn whatever_a_crash_has_left_the_store_opens() {
    let rig = Rig::new();
    let store = rig.create();
    let first = insert(&store).await;
    let (file, anchor) = (rig.path(), rig.file(".anchor"));
    let before = fs::read(&anchor).unwrap();
    let second = insert(&store).await;
    drop(store);
    let after = fs::read(&file).unwrap();

    // While the new file was being written:
    for len in [0, 1, after.len() / 2, after.len()] {
        for beside in [".new", ".anchor.new"] {
            fs::write(rig.file(beside), &after[..len]).unwrap();
        }
        let store = rig.open().unwrap();
        assert!(has(&store, &first) && has(&store, &second));
        drop(store);
    }
    // Between the file and the anchor:
    fs::write(&anchor, &before).unwrap();
    let store = rig.open().unwrap();
    assert!(has(&store, &first) && has(&store, &second));
    let third = insert(&store).await;
    drop(store);
    assert!(has(&rig.open().unwrap(), &third));
    assert_ne!(fs::read(&anchor).unwrap(), before, "it has caught up");
    // And by then, what was written before is old.
    fs::write(&file, &after).unwrap();
    assert_eq!(rig.open().unwrap_err(), FileErrorKind::RolledBack);
}

#[tokio::test]
async fn what_cannot_be_written_has_not_happened() {
    /// Fails when told to.
    struct Flaky(Arc<AtomicBool>);
    impl Rng for Flaky {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
            match self.0.load(Ordering::Relaxed) {
                true => Err(RngError::new("out of entropy")),
                false => SystemRng.fill(buffer),
            }
        }
    }
    let rig = Rig::new();
    let broken = Arc::new(AtomicBool::new(false));
    let builder = rig.builder(1, &[]).with_rng(Flaky(Arc::clone(&broken)));
    let store = builder.create().unwrap();
    let id = insert(&store).await;

    broken.store(true, Ordering::Relaxed);
    let refused = store.insert(record(), UNIX_EPOCH).await;
    assert!(matches!(refused, Err(InsertError::Unavailable(_))));
    assert!(store.revoke(Revocation::Tokens(&[id])).await.is_err());
    assert!(store.revoke(Revocation::Family(id)).await.is_err());
    assert!(store.take(&id).await.is_err());
    assert!(has(&store, &id));
    assert_eq!(store.len_live(UNIX_EPOCH), 1);

    broken.store(false, Ordering::Relaxed);
    assert!(store.take(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_disk_that_fails_is_not_a_file_put_back() {
    let rig = Rig::new();
    let store = rig.create();
    let id = insert(&store).await;
    // The anchor cannot be replaced by a file: the first file can.
    fs::create_dir(rig.file(".anchor.new")).unwrap();
    assert!(store.revoke(Revocation::Tokens(&[id])).await.is_err());
    fs::remove_dir(rig.file(".anchor.new")).unwrap();
    assert_eq!(store.revoke(Revocation::Tokens(&[id])).await.unwrap(), 1);
    drop(store);
    assert!(!has(&rig.open().unwrap(), &id));
}

/// A fallback to plaintext would let whoever can write the file write the tokens.
#[tokio::test]
async fn a_file_in_clear_is_imported_when_asked_to_and_never_opened() {
    let peppers = KeyRing::new(Pepper::new(1, &[3; 32]).unwrap(), []).unwrap();
    let minted = mint(TokenKind::Runtime, &peppers, &SystemRng).unwrap();
    let described = Record::new(&minted, Principal::new("a", "b"), UNIX_EPOCH, UNIX_EPOCH);
    let verifier = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        described.verifier().as_bytes(),
    );
    let entry = format!(
        r#"{{"id":"{}","kind":"runtime","key_version":1,"verifier":"{verifier}",
            "principal":{{"kind":"runtime","subject":"cache-7f3a","attributes":{{"plan":"gold"}}}},
            "issued_at":0,"expires_at":60}}"#,
        described.id()
    );
    let json =
        |records: &str| format!(r#"{{"format":"tower-plugin-tokens-1","records":[{records}]}}"#);

    let rig = Rig::new();
    fs::write(rig.path(), json(&entry)).unwrap();
    fs::set_permissions(rig.path(), PermissionsExt::from_mode(0o600)).unwrap();
    let not_encrypted = FileErrorKind::Invalid(InvalidFile::NotEncrypted);
    assert_eq!(rig.open().unwrap_err(), not_encrypted);
    let text = fs::read(rig.path()).unwrap();
    fs::remove_file(rig.path()).unwrap();

    drop(rig.builder(1, &[]).import(&text).unwrap());
    let store = rig.open().unwrap();
    let record = store.0.memory.find(&described.id()).unwrap();
    assert_eq!(record.principal().attribute("plan"), Some("gold"));
    let presented = PresentedToken::parse(minted.token().expose().as_bytes()).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(59);
    assert_eq!(check(&peppers, &presented, Some(&record), now), Ok(()));
    assert!(
        check(
            &peppers,
            &presented,
            Some(&record),
            now + Duration::from_secs(1)
        )
        .is_err()
    );
    drop(store);

    for (name, text) in [
        ("not JSON", "hunter2".to_owned()),
        ("no format", r#"{"records":[]}"#.to_owned()),
        ("another format", json("").replace("-1", "-2")),
        (
            "an unknown field",
            json("").replace("}", r#","secret":"hunter2"}"#),
        ),
        ("a repeated id", json(&format!("{entry},{entry}"))),
        (
            "another kind",
            json(&entry.replace("\"runtime\",\"key", "\"admin\",\"key")),
        ),
        (
            "half a verifier",
            json(&entry.replace(&verifier, &verifier[..20])),
        ),
        (
            "no id",
            json(&entry.replace(&described.id().to_string(), "7")),
        ),
        (
            "the end of time",
            json(&entry.replace(":60", ":18446744073709551615")),
        ),
    ] {
        let elsewhere = Rig::new();
        let imported = elsewhere.builder(1, &[]).import(text.as_bytes());
        let error = imported.unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::InvalidJson, "{name}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!elsewhere.path().exists(), "{name}");
    }
}

#[tokio::test]
async fn unreasonable_settings_are_refused() {
    let rig = Rig::new();
    let field = |builder: EncryptedFileStoreBuilder| match builder.create().unwrap_err().kind() {
        FileErrorKind::Config(invalid) => InvalidConfig::field(&invalid),
        other => panic!("{other:?}"),
    };
    assert_eq!(field(rig.builder(1, &[]).with_capacity(0)), "capacity");
    assert_eq!(
        field(rig.builder(1, &[]).with_label("x".repeat(257))),
        "label"
    );
    assert_eq!(field(rig.builder(1, &[]).with_anchor(rig.path())), "anchor");

    let store = rig.create();
    for _ in 0..2 {
        insert(&store).await;
    }
    drop(store);
    let small = rig.builder(1, &[]).with_capacity(1).open().unwrap_err();
    assert_eq!(
        small.to_string(),
        "capacity must be at least the number of records in the file"
    );
    rig.builder(1, &[]).with_capacity(2).open().unwrap();
}
