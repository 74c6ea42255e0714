//! Runs the command that verifies audit logs as an operator would.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tower_plugin_auth::{
    audit::{AuditEvent, AuditSink, FileKey, FileKeyRing, FileSink, Outcome},
    token::{KeyRing, Pepper},
};

struct Log {
    directory: tempfile::TempDir,
}

impl Log {
    /// Of four lines, encrypted.
    fn written() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let log = Self { directory };
        let keys = KeyRing::new(Pepper::new(1, &[0x11; 32]).unwrap(), []).unwrap();
        let cipher = FileKeyRing::new(FileKey::new(2, &[0x22; 32]).unwrap(), []).unwrap();
        let sink = FileSink::builder(log.path("audit"), keys).with_cipher(cipher);
        let sink = sink.open().unwrap();
        for resource in ["/one", "/two", "/three"] {
            let event = AuditEvent::new("authz_fail", Outcome::Denied).with_resource(resource);
            sink.record(&event);
        }
        drop(sink);
        fs::write(log.path("keys"), format!("1 {}\n", "11".repeat(32))).unwrap();
        fs::write(log.path("cipher"), format!("2 {}\n", "22".repeat(32))).unwrap();
        log
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("audit.00000001.jsonl")
    }

    fn verify(&self, more: &[&str]) -> Output {
        let mut command = audit();
        command
            .arg("verify")
            .arg(self.path("audit"))
            .arg("--keys")
            .arg(self.path("keys"));
        command.args(more).output().unwrap()
    }

    fn print(&self, keys: &Path, more: &[&str]) -> Output {
        let mut command = audit();
        command
            .arg("print")
            .arg(self.file())
            .arg("--cipher-keys")
            .arg(keys);
        command.args(more).output().unwrap()
    }
}

fn audit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audit"));
    command
        .env_remove("AUDIT_KEYS")
        .env_remove("AUDIT_CIPHER_KEYS");
    command
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn an_intact_log_is_0_a_changed_one_is_1_and_an_unreadable_one_is_2() {
    let log = Log::written();
    let output = log.verify(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("4 lines in 1 files, numbers 0 to 3: intact"),
        "{}",
        said(&output)
    );
    assert_eq!(log.verify(&["--at-least", "3"]).status.code(), Some(0));
    assert_eq!(log.verify(&["--at-least", "4"]).status.code(), Some(1));

    let shown = said(&output);
    let anchor = shown.lines().find_map(|line| line.strip_prefix("anchor: "));
    let anchor = anchor.unwrap();
    assert_eq!(log.verify(&["--anchor", anchor]).status.code(), Some(0));
    let another = format!("3:{}", "0".repeat(64));
    let output = log.verify(&["--anchor", &another]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("not the line that the anchor names"));

    let good = fs::read_to_string(log.file()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    fs::write(log.file(), [lines[0], lines[1], lines[3], ""].join("\n")).unwrap();
    let output = log.verify(&[]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "audit.00000001.jsonl:3 (number 3): missing before it, from number 2";
    assert!(said(&output).contains(expected), "{}", said(&output));
    assert!(said(&output).contains("NOT INTACT"));

    fs::write(log.file(), &good).unwrap();
    let alone = audit()
        .args(["verify", "--file"])
        .arg(log.file())
        .env("AUDIT_KEYS", format!("1 {}", "11".repeat(32)))
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(0), "{}", said(&alone));
    fs::remove_file(log.path("audit.head")).unwrap();
    let output = log.verify(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the head is missing"));
    fs::set_permissions(log.file(), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(log.verify(&[]).status.code(), Some(2));
    fs::remove_file(log.file()).unwrap();
    assert_eq!(log.verify(&[]).status.code(), Some(2));
}

#[test]
fn lines_are_printed_for_whoever_has_the_key() {
    let log = Log::written();
    let output = log.print(&log.path("cipher"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 4);
    for line in printed.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(printed.contains("\"resource\":\"/two\""), "{printed}");

    let output = log.print(&log.path("cipher"), &["--last", "1"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("/three") && !printed.contains("/two"),
        "{printed}"
    );

    let output = log.print(&log.path("keys"), &[]);
    assert_eq!(output.status.code(), Some(1), "the wrong keys");
    assert!(!said(&output).contains("/two"));
    let output = audit().arg("print").arg(log.file()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("\"sealed\":") && !said(&output).contains("/two"));
}

#[test]
fn no_key_is_repeated() {
    let log = Log::written();
    let near = format!("1 {}x", "ab".repeat(31));
    fs::write(log.path("keys"), &near).unwrap();
    let output = log.verify(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!said(&output).contains("abab"), "{}", said(&output));
    let none = audit()
        .arg("verify")
        .arg(log.path("audit"))
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("AUDIT_KEYS"), "{}", said(&none));
}
