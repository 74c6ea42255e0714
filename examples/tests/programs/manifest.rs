//! Runs the `manifest` command as an operator would.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// A directory for keys, and one with two plugins in it.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.path("plugins")).unwrap();
        fs::write(place.path("plugins/store.so"), "the store").unwrap();
        fs::write(place.path("plugins/cache.so"), "the cache").unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_manifest"))
            .current_dir(self.root.path())
            .args(arguments)
            .output()
            .unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        let said = [stdout, stderr].concat();
        (status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn keygen(&self) -> (i32, String) {
        self.run(&["keygen", "--key-id", "release", "--output", "key"])
    }

    fn generate(&self, more: &[&str]) -> (i32, String) {
        let mut arguments = vec![
            "generate",
            "--directory",
            "plugins",
            "--author",
            "our-team",
            "--plugin-version",
            "1.0.0",
            "--output",
            "manifest.json",
        ];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn sign(&self) -> (i32, String) {
        self.run(&["sign", "--manifest", "manifest.json", "--key", "key"])
    }

    fn verify(&self, more: &[&str]) -> (i32, String) {
        let mut arguments = vec![
            "verify",
            "--manifest",
            "manifest.json",
            "--directory",
            "plugins",
            "--trusted-key",
            "key.pub",
        ];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn verify_ours(&self) -> (i32, String) {
        self.verify(&["--trusted-author", "our-team"])
    }

    /// Everything up to the signature.
    fn signed() -> Self {
        let place = Self::new();
        for (code, said) in [place.keygen(), place.generate(&[]), place.sign()] {
            assert_eq!(code, 0, "{said}");
        }
        place
    }
}

#[test]
fn what_was_signed_is_verified() {
    let place = Place::new();
    let (code, said) = place.keygen();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with("\"trusted_keys\": {\"release\": \""),
        "{said}"
    );
    let (code, said) = place.generate(&[
        "--version-of",
        "cache=2.0.0",
        "--depends",
        "cache=store",
        "--environment",
        "production",
        "--reproducible",
        "--git-commit",
        "c0ffee",
        "--valid-days",
        "30",
    ]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.sign().0, 0);
    assert_eq!(
        place.verify_ours(),
        (0, "2 plugins, all as signed\n".to_owned())
    );

    let (code, said) = place.run(&["list", "--manifest", "manifest.json"]);
    assert_eq!(code, 0);
    let lines: Vec<_> = said.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "says to be signed under release; not checked",
            "cache 2.0.0 cache.so 9 bytes, by our-team",
            "store 1.0.0 store.so 9 bytes, by our-team",
        ]
    );
}

#[test]
fn d03_what_was_generated_is_not_trusted() {
    let place = Place::new();
    place.keygen();
    let (code, said) = place.generate(&[]);
    assert_eq!(code, 0);
    assert!(said.contains("admits nobody"), "{said}");
    assert_eq!(
        place.verify_ours(),
        (1, "manifest: not signed\n".to_owned())
    );
    let json = fs::read_to_string(place.path("manifest.json")).unwrap();
    assert!(json.contains("\"trusted\": false") && !json.contains("\"trusted\": true"));

    // Nor is a tampered file blessed by describing it again: the old manifest is in the way, and the new one unsigned.
    assert_eq!(place.sign().0, 0);
    fs::write(place.path("plugins/cache.so"), "tampered!").unwrap();
    assert_eq!(place.generate(&[]).0, 3);
    assert_eq!(place.verify_ours().0, 1);
    // The author is the host's to trust.
    let (code, said) = Place::signed().verify(&["--trusted-author", "others"]);
    assert_eq!(code, 1);
    assert_eq!(said.matches("is not trusted").count(), 2, "{said}");
    assert_eq!(Place::signed().verify(&["--allow-untrusted"]).0, 0);
}

#[test]
fn d09_everything_that_differs_is_reported() {
    let place = Place::signed();
    fs::write(place.path("plugins/cache.so"), "THE CACHE").unwrap();
    fs::remove_file(place.path("plugins/store.so")).unwrap();
    fs::write(place.path("plugins/extra.so"), "evil").unwrap();
    fs::create_dir(place.path("plugins/nested")).unwrap();
    let (code, said) = place.verify_ours();
    assert_eq!(code, 1);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "cache.so has other contents",
            "store.so is missing",
            "\"extra.so\" is not in the manifest",
            "\"nested\" is not in the manifest",
        ]
    );

    let place = Place::signed();
    fs::write(place.path("plugins/cache.so"), "longer than before").unwrap();
    assert_eq!(
        place.verify_ours(),
        (1, "cache.so has 18 bytes, not 9\n".to_owned())
    );
    #[cfg(unix)]
    {
        let place = Place::signed();
        fs::rename(place.path("plugins/cache.so"), place.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(place.path("elsewhere"), place.path("plugins/cache.so"))
            .unwrap();
        assert_eq!(
            place.verify_ours(),
            (1, "cache.so is not a regular file\n".to_owned())
        );
    }
}

#[test]
fn a_manifest_that_was_changed_or_signed_by_others_is_refused() {
    let place = Place::signed();
    let manifest = place.path("manifest.json");
    let json = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, json.replace("1.0.0", "1.0.1")).unwrap();
    assert_eq!(
        place.verify_ours(),
        (1, "manifest: signature is wrong\n".to_owned())
    );
    fs::write(&manifest, json.replace("cache.so", "../x.so")).unwrap();
    let (code, said) = place.verify_ours();
    assert_eq!(code, 1);
    assert!(
        said.starts_with("manifest: plugins[0]: filename must be"),
        "{said}"
    );

    fs::write(&manifest, json).unwrap();
    fs::remove_file(place.path("key")).unwrap();
    fs::remove_file(place.path("key.pub")).unwrap();
    assert_eq!(place.keygen().0, 0);
    assert_eq!(
        place.verify_ours(),
        (1, "manifest: signature is wrong\n".to_owned())
    );
}

#[test]
fn keys_are_their_owners_alone_and_never_overwritten() {
    let place = Place::new();
    place.keygen();
    let key = fs::read_to_string(place.path("key")).unwrap();
    assert_eq!(place.keygen().0, 3);
    assert_eq!(fs::read_to_string(place.path("key")).unwrap(), key);
    fs::remove_file(place.path("key")).unwrap();
    assert_eq!(place.keygen().0, 3, "its public key is there");
    assert!(!Path::new(&place.path("key")).exists());
    fs::remove_file(place.path("key.pub")).unwrap();
    let (_, said) = place.keygen();
    let key = fs::read_to_string(place.path("key")).unwrap();
    let (_, seed) = key.trim().split_once(' ').unwrap();
    assert!(!said.contains(seed));

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key"), 0o600);
        place.generate(&[]);
        fs::set_permissions(place.path("key"), fs::Permissions::from_mode(0o640)).unwrap();
        let (code, said) = place.sign();
        assert_eq!(code, 3);
        assert!(said.contains("chmod 600"), "{said}");
    }
}

#[test]
fn each_kind_of_failure_has_its_exit_status() {
    let place = Place::signed();
    let before = fs::read(place.path("manifest.json")).unwrap();
    for (code, arguments) in [
        (2, &["verify"][..]),
        (
            2,
            &["sign", "--manifest", "manifest.json", "--key-seed", "AAAA"],
        ),
        (3, &["list", "--manifest", "none.json"]),
        (3, &["list", "--manifest", "plugins"]),
        (
            3,
            &["sign", "--manifest", "manifest.json", "--key", "key.pub"],
        ),
        (1, &["keygen", "--key-id", "two words", "--output", "other"]),
    ] {
        let (status, said) = place.run(arguments);
        assert_eq!(status, code, "{arguments:?}: {said}");
    }
    assert!(!Path::new(&place.path("other")).exists());
    assert_eq!(fs::read(place.path("manifest.json")).unwrap(), before);

    fs::remove_file(place.path("manifest.json")).unwrap();
    let (code, said) = place.generate(&["--depends", "cach=store"]);
    assert_eq!((code, &*said), (1, "no file is the plugin \"cach\"\n"));
    let (code, said) = place.generate(&["--depends", "cache=absent"]);
    assert_eq!(code, 1, "{said}");
    let (code, said) = place.generate(&["--max-artifact-bytes", "8"]);
    assert_eq!(code, 3, "{said}");
    assert!(!Path::new(&place.path("manifest.json")).exists());
}
