use std::fs;

use tempfile::TempDir;
use tower_plugin_auth::audit::GrantUses;

use super::*;
use crate::host::options::Strategy;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, text: &str) -> String {
        let path = self.0.path().join("host.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
    Settings::of([&["plugin-host"], arguments].concat())
}

fn of_file(text: &str, arguments: &[&str]) -> Result<Settings, SettingsError> {
    let folder = Folder::new();
    let path = folder.write(text);
    settings(&[&["--config", &path], arguments].concat())
}

#[test]
fn the_command_line_counts_before_the_file_and_that_before_the_default() {
    let file = r#"
token-ttl = "2h"
client-quota = "7/s"
connections-per-client = 9
require-tls = true
plugin = ["kv=1.0.0=/kv/", "log=2.0.0=/log/"]
"#;
    let options = of_file(file, &["--token-ttl", "3h"]).unwrap().options;
    assert_eq!(options.tokens.ttl.get().as_secs(), 3 * 3600);
    assert_eq!(options.quotas.client.to_string(), "7/s");
    assert_eq!(options.connections.per_client, 9);
    assert!(options.tls.require_tls);
    assert_eq!(options.plugins.len(), 2);
    assert_eq!(options.quotas.watch.to_string(), "1/s:3");

    let one = of_file(file, &["--plugin", "a=1.0.0=/a/"]).unwrap().options;
    assert_eq!(one.plugins.len(), 1);
}

#[test]
fn what_is_let_in_found_and_written_down_can_be_said_in_a_file() {
    let defaults = settings(&[]).unwrap().options;
    assert_eq!(defaults.door.concurrent, 3, "that of the library");
    assert_eq!(defaults.registry.selection, Strategy::RoundRobin);
    assert_eq!(defaults.audit.audit_grant_uses, GrantUses::Counted);
    let file = r#"
concurrent-admissions = 12
selection = "first"
audit-grant-uses = "all"
"#;
    let options = of_file(file, &[]).unwrap().options;
    assert_eq!(options.door.concurrent, 12);
    assert_eq!(options.registry.selection, Strategy::First);
    assert_eq!(options.audit.audit_grant_uses, GrantUses::All);
    for (text, message) in [
        ("concurrent-admissions = 0", "1..=1024"),
        ("concurrent-admissions = 1025", "1..=1024"),
        ("selection = \"weighted\"", "first, round-robin or random"),
        ("audit-grant-uses = \"some\"", "counted, all or none"),
    ] {
        let error = of_file(text, &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_fault_of_a_file_is_told_by_its_place() {
    for (text, place, message) in [
        ("token-tll = \"1h\"", "1:1", "unknown key \"token-tll\""),
        ("\n[tokens]\nttl = \"1h\"", "2:2", "unknown key \"tokens\""),
        ("check = true", "1:1", "unknown key \"check\""),
        ("config = \"a\"", "1:1", "unknown key \"config\""),
        (
            "bootstrap-secret = \"s3cr3t\"",
            "1:1",
            "unknown key \"bootstrap-secret\"",
        ),
        (
            "admin-token = \"s3cr3t\"",
            "1:1",
            "unknown key \"admin-token\"",
        ),
        ("listen = \"a\"\nlisten = \"s3cr3t\"", "2:1", "duplicate"),
        (
            "\n  token-ttl = \"1s\"",
            "2:15",
            "token-ttl: is outside the allowed range",
        ),
        (
            "drain = 1.5",
            "1:9",
            "drain: must be a string or a whole number",
        ),
        (
            "connections-per-client = 0",
            "1:26",
            "connections-per-client: 0 is not in 1..=4096",
        ),
        (
            "client-quota = [\"1/s\"]",
            "1:16",
            "client-quota: must be a string",
        ),
        (
            "plugin = \"kv=1.0.0=/kv/\"",
            "1:10",
            "plugin: must be an array of strings",
        ),
        ("plugin = [\"kv\"]", "1:10", "plugin: must have the form"),
        (
            "open-admission = \"yes\"",
            "1:18",
            "open-admission: must be true or false",
        ),
        ("drain = \"s3cr3t", "1:", ""),
    ] {
        let error = of_file(text, &[]).unwrap_err().to_string();
        assert!(error.starts_with("--config "), "{error}");
        assert!(
            error.contains(&format!("host.toml:{place}")),
            "{text}: {error}"
        );
        assert!(error.contains(message), "{text}: {error}");
        assert!(
            !error.contains("s3cr3t") && !error.contains('\n'),
            "{error}"
        );
    }
    let error = settings(&["--config", "/nonexistent"])
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("--config /nonexistent: "), "{error}");
    let error = settings(&["--config", "/"]).unwrap_err().to_string();
    assert_eq!(error, "--config /: not a regular file");
}

#[test]
fn of_settings_that_exclude_each_other_the_one_that_is_said_counts() {
    let file = "open-admission = true\nredis-url-file = \"/nonexistent\"";
    let said = ["--bootstrap-secret-file", "/secret", "--redis", "redis://r"];
    let options = of_file(file, &said).unwrap().options;
    assert!(!options.open_admission && options.redis.file.is_none());
    assert_eq!(options.redis.url.unwrap().expose(), "redis://r");

    let options = of_file(file, &[]).unwrap().options;
    assert!(options.open_admission && options.redis.file.is_some());
}

#[test]
fn what_is_printed_can_be_read_again_and_says_the_same() {
    let arguments = [
        "--token-ttl",
        "90m",
        "--redis",
        "redis://127.0.0.1:1",
        "--redis-leases",
        "5",
        "--plugin",
        "kv=1.0.0=/kv/",
        "--plugin",
        "log=2.0.0=/log/",
        "--bootstrap-secret-file",
        "/a \"quoted\\path",
        "--admin-listen",
        "127.0.0.1:1",
    ];
    let first = settings(&arguments)
        .unwrap()
        .print(&["PLUGIN_HOST_ADMIN_TOKEN"])
        .unwrap();
    let again = of_file(&first, &[]).unwrap();
    assert_eq!(
        again
            .options
            .bootstrap_secret_file
            .as_ref()
            .unwrap()
            .to_str(),
        Some("/a \"quoted\\path")
    );
    // But for where it came from.
    let plain = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("# In the env"));
        let lines = lines.map(|line| line.split(" # from").next().unwrap().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    };
    let second = again.print(&[]).unwrap();
    assert_eq!(plain(&first), plain(&second));
    assert!(
        first.contains("token-ttl = \"90m\" # from the command line"),
        "{first}"
    );
    assert!(first.contains("redis-leases = 5 "), "{first}");
    assert!(first.contains("# In the environment, and not shown: PLUGIN_HOST_ADMIN_TOKEN"));
    // Whoever prints everything leaves no setting out.
    for arg in command().get_arguments().filter(|arg| is_setting(arg)) {
        let long = arg.get_long().unwrap();
        assert!(
            first.contains(&format!("\n{long} = "))
                || first.contains(&format!("# {long} is not set")),
            "{long}"
        );
    }
}

#[test]
fn a_password_is_not_printed() {
    let settings = settings(&["--redis", "redis://:s3cr3t@r"]).unwrap();
    assert_eq!(settings.print(&[]), Err(PrintError::Password));
}

#[tokio::test]
async fn every_problem_is_told_and_not_only_the_first() {
    let arguments = [
        "--bootstrap-secret-file",
        "/nonexistent",
        "--redis",
        "nonsense",
        "--max-headers",
        "0",
        "--tls-cert",
        "/nonexistent",
        "--tls-key",
        "/nonexistent",
        "--admin-listen",
        "127.0.0.1:0",
        "--provider-host",
        "10.0.0.0/8",
    ];
    let problems = settings(&arguments).unwrap().problems(None);
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(
        problems.iter().all(|problem| !problem.contains('\n')),
        "{problems:?}"
    );
    // Each file is good in itself, and each part is told of what is in it.
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("manifest.json");
    fs::write(&manifest, "{}").unwrap();
    let arguments = [
        "--manifest",
        manifest.to_str().unwrap(),
        "--provider",
        "log=http://a.example/",
        "--provider",
        "log=http://b.example/",
    ];
    let problems = settings(&arguments).unwrap().problems(None);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(settings(&[]).unwrap().problems(None), [""; 0]);
    let short = settings(&[]).unwrap().problems(Some("s3cr3t".to_owned()));
    assert!(
        short.len() == 1 && !short[0].contains("s3cr3t"),
        "{short:?}"
    );
}

#[test]
fn every_setting_has_a_variable_and_no_secret_is_a_setting() {
    for arg in command().get_arguments() {
        let long = arg.get_long().unwrap();
        let variable = arg.get_env().map(|name| name.to_str().unwrap().to_owned());
        if is_deed(arg) {
            assert_eq!(variable, None);
            continue;
        }
        let variable = variable.unwrap();
        assert_eq!(
            variable,
            format!("PLUGIN_HOST_{}", long.to_uppercase().replace('-', "_"))
        );
        assert!(
            ![
                "PLUGIN_HOST_BOOTSTRAP_SECRET",
                "PLUGIN_HOST_REDIS_URL",
                "PLUGIN_HOST_ADMIN_TOKEN"
            ]
            .contains(&&*variable)
        );
    }
}
