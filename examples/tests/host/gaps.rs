//! What is said when protection is left off.

use tempfile::TempDir;

use crate::process::{Program, close};

const SECRET: (&str, &str) = ("PLUGIN_HOST_BOOTSTRAP_SECRET", "a-secret-of-the-operator");
/// So that nothing is said of them.
const RIGHTS: [&str; 4] = ["--allow-register", "a=b", "--allow-call", "a=b"];
const NO_AUDIT: &str = "nothing is written down that somebody may have to account for";
const OPEN: &str = "everybody is admitted";

/// The warnings of a host that was started so, and ended.
async fn warnings(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let program = Program::with(arguments, environment).await;
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    warnings.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_missing_audit_log_and_an_open_door_are_warned_of_once_each() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (keys, log) = (path("keys"), path("audit"));
    std::fs::write(&keys, format!("1 {}\n", "7a".repeat(32))).unwrap();
    close(keys.as_ref());
    let audit = ["--audit-file", &log, "--audit-key-file", &keys];
    let open = "--open-admission";

    for (arguments, environment, expected) in [
        (vec![], vec![SECRET], vec![NO_AUDIT]),
        (vec![], vec![], vec![NO_AUDIT]),
        (vec![open], vec![], vec![OPEN, NO_AUDIT]),
        ([&audit[..], &[open]].concat(), vec![], vec![OPEN]),
        (audit.to_vec(), vec![SECRET], vec![]),
    ] {
        let arguments = [&arguments[..], &RIGHTS].concat();
        let warnings = warnings(&arguments, &environment).await;
        assert_eq!(
            warnings.len(),
            expected.len(),
            "{arguments:?}: {warnings:#?}"
        );
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected), "{arguments:?}: {warnings:#?}");
        }
    }
}

#[tokio::test]
async fn an_admission_file_that_opens_the_door_is_warned_of_too() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("admission.toml");
    std::fs::write(&file, "require_manifest = false\nrule = \"open\"\n").unwrap();
    let arguments = ["--admission-file", file.to_str().unwrap()];
    let warnings = warnings(&arguments, &[]).await;
    assert!(
        warnings.iter().any(|warning| warning.contains(OPEN)),
        "{warnings:#?}"
    );
}

#[tokio::test]
async fn everything_that_is_left_off_is_said_in_a_line_of_its_own() {
    let arguments = [
        "--open-admission",
        "--public-metrics",
        "--redis",
        "redis://127.0.0.1:1",
        "--redis-on-unavailable",
        "allow",
        "--provider-network",
        "0.0.0.0/0",
    ];
    let keys = format!("1 {}", "7a".repeat(32));
    let warnings = warnings(&arguments, &[("PLUGIN_HOST_TOKEN_KEYS", &keys)]).await;
    for expected in [
        OPEN,
        NO_AUDIT,
        "--public-metrics",
        "--redis-on-unavailable allow",
        "--provider-network of all addresses",
    ] {
        let said = warnings.iter().filter(|line| line.contains(expected));
        assert_eq!(said.count(), 1, "{expected}: {warnings:#?}");
    }
}
