//! The program's configuration, and its log, as a whole process has them.

use std::{path::Path, process::Output};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::process::{Program, WAIT, close, paste};

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-host"));
    for name in [
        "PLUGIN_HOST_ADMIN_TOKEN",
        "PLUGIN_HOST_BOOTSTRAP_SECRET",
        "PLUGIN_HOST_REDIS_URL",
    ] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    timeout(WAIT, command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn write(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    close(&path);
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn flag_before_variable_before_file_before_default() {
    let folder = TempDir::new().unwrap();
    let file = write(
        &folder,
        "host.toml",
        "token-ttl = \"2h\"\ndrain = \"3s\"\nwatch-quota = \"9/s\"\nopen-admission = true\n",
    );
    let output = run(
        &["--token-ttl", "4h", "--print-config"],
        &[
            ("PLUGIN_HOST_CONFIG", &file),
            ("PLUGIN_HOST_TOKEN_TTL", "3h"),
            ("PLUGIN_HOST_DRAIN", "5s"),
            ("PLUGIN_HOST_ADMIN_TOKEN", "s3cr3t-of-the-administrator"),
        ],
    )
    .await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for line in [
        "token-ttl = \"4h\" # from the command line",
        "drain = \"5s\" # from the environment",
        "watch-quota = \"9/s\" # from the file",
        "open-admission = true # from the file",
        "header-timeout = \"10s\"",
        "# In the environment, and not shown: PLUGIN_HOST_ADMIN_TOKEN",
    ] {
        assert!(
            printed.lines().any(|known| known == line),
            "{line}\n{printed}"
        );
    }
    assert!(!printed.contains("s3cr3t"), "{printed}");

    // What is printed is taken.
    let again = write(&folder, "again.toml", &printed);
    let output = run(&["--config", &again, "--check"], &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_check_tells_every_problem_on_a_line_and_serves_nobody() {
    let folder = TempDir::new().unwrap();
    let secret = write(&folder, "secret", "a-secret-of-the-operator");
    let output = run(&["--bootstrap-secret-file", &secret, "--check"], &[]).await;
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        "plugin-host: the configuration is good\n"
    );

    let arguments = [
        "--check",
        "--redis-url-file",
        "/nonexistent",
        "--tls-cert",
        "/nonexistent",
        "--tls-key",
        "/nonexistent",
        "--max-path",
        "0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let environment = [
        ("PLUGIN_HOST_BOOTSTRAP_SECRET", "s3cr3t"),
        ("PLUGIN_HOST_ADMIN_TOKEN", "s3cr3t"),
    ];
    let output = run(&arguments, &environment).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let errors = text(&output.stderr);
    assert_eq!(errors.lines().count(), 5, "{errors}");
    for start in [
        "plugin-host: PLUGIN_HOST_BOOTSTRAP_SECRET: bootstrap_secret must be",
        "plugin-host: --redis-url-file /nonexistent: ",
        "plugin-host: path_bytes must be between",
        "plugin-host: --tls-cert /nonexistent: ",
        "plugin-host: PLUGIN_HOST_ADMIN_TOKEN must be 16 to 512",
    ] {
        assert!(
            errors.lines().any(|line| line.starts_with(start)),
            "{start}\n{errors}"
        );
    }
    assert!(!errors.contains("s3cr3t"), "{errors}");
}

#[tokio::test]
async fn rules_of_services_stand_in_the_file_and_bad_ones_are_told_with_their_place() {
    let folder = TempDir::new().unwrap();
    let rules = "allow-register = [\"cache=kv\", \"*=logger\"]\ndeny-call = [\"*=payroll\"]\n";
    let file = write(&folder, "host.toml", rules);
    let output = run(&["--config", &file, "--print-config"], &[]).await;
    let printed = text(&output.stdout);
    for line in [
        "allow-register = [\"cache=kv\", \"*=logger\"]",
        "allow-call = []",
        "deny-call = [\"*=payroll\"]",
    ] {
        assert!(
            printed.lines().any(|known| known.starts_with(line)),
            "{line}\n{printed}"
        );
    }
    let again = write(&folder, "again.toml", &printed);
    let output = run(&["--config", &again, "--check"], &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));

    for rule in ["cache", "cache=", "cac*=kv", "cache=k/v"] {
        let file = write(&folder, "bad.toml", &format!("allow-call = [\"{rule}\"]\n"));
        let output = run(&["--config", &file, "--check"], &[]).await;
        let errors = text(&output.stderr);
        assert!(!output.status.success());
        assert!(errors.contains("bad.toml:1:14: allow-call: "), "{errors}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_file_that_others_can_read_is_an_error() {
    use std::os::unix::fs::PermissionsExt;

    let folder = TempDir::new().unwrap();
    let secret = write(&folder, "secret", "a-secret-of-the-operator");
    let open = |path: &str| {
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(Path::new(path), mode).unwrap();
    };
    open(&secret);
    for arguments in [
        vec!["--bootstrap-secret-file", &secret],
        vec!["--redis-url-file", &secret],
        vec![
            "--admin-listen",
            "127.0.0.1:0",
            "--admin-token-file",
            &secret,
        ],
    ] {
        let output = run(
            &[&["--listen", "127.0.0.1:0"], &arguments[..]].concat(),
            &[],
        )
        .await;
        assert!(!output.status.success());
        let errors = text(&output.stderr);
        assert!(errors.contains("chmod 600 it"), "{errors}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_told_by_name_and_place() {
    let folder = TempDir::new().unwrap();
    let file = write(
        &folder,
        "host.toml",
        "drain = \"3s\"\nbootstrap-secret = \"s3cr3t\"\n",
    );
    let output = run(&["--config", &file], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(
        errors.contains("host.toml:2:1: unknown key \"bootstrap-secret\""),
        "{errors}"
    );
    assert!(!errors.contains("s3cr3t"), "{errors}");
}

/// The reference's demonstration: a limit of 10, 50 calls at once.
#[tokio::test]
async fn fifty_calls_against_a_limit_of_ten_are_ten() {
    let program = Program::with(&[], &[("PLUGIN_HOST_CLIENT_QUOTA", "10/h")]).await;
    let url = program.url();
    let script = format!(
        "for n in $(seq 50); do curl -sS -o /dev/null -w '%{{http_code}}\\n' -H 'content-type: application/json' --data '{{}}' {url}/connectplugin.health.v1.HealthService/Check & done; wait"
    );
    let output = paste(&script, None).await;
    let codes = text(&output.stdout);
    let count = |code: &str| codes.lines().filter(|line| *line == code).count();
    assert_eq!((count("200"), count("429")), (10, 40), "{codes}");
    program.signal("-TERM").await;
}

// What callers send is never a line of the log, nor part of one unescaped.
#[tokio::test]
async fn every_line_of_the_log_is_json_and_holds_no_secret() {
    let secret = "a-secret-of-the-operator";
    let program = Program::with(
        &["--log-format", "json"],
        &[
            ("RUST_LOG", "trace"),
            ("PLUGIN_HOST_BOOTSTRAP_SECRET", secret),
        ],
    )
    .await;
    let url = program.url();
    let script = format!(
        r#"
H='content-type: application/json'
curl -sS -o /dev/null -H "$H" -H 'x-request-id: named-by-the-caller' --data '{{"coreProtocolVersion":1,"appProtocolVersion":1,"magicCookieKey":"CONNECT_PLUGIN","magicCookieValue":"{secret}","selfId":"p"}}' {url}/connectplugin.v1.HandshakeService/Handshake
curl -sS -o /dev/null -H "$H" --data '{{"magicCookieValue":"f0rged\nlevel=ERROR\u001b[31m"}}' {url}/connectplugin.v1.HandshakeService/Handshake
curl -sS -o /dev/null -H "$H" -H 'authorization: Bearer tpr_f0rged' -H 'x-plugin-runtime-id: f0rged' --data '{{}}' {url}/connectplugin.v1.ServiceRegistry/DiscoverService
curl -sS -o /dev/null '{url}/f0rged%0a%1b'
"#
    );
    let output = paste(&script, None).await;
    assert!(output.status.success());
    let (_, log) = program.signal("-TERM").await;
    // hyper and others trace what they read, escaped; what the host says holds none of it.
    let mut named = false;
    for line in log.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!line.contains(secret), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let target = event["target"].as_str().unwrap();
        if target.starts_with("tower_plugin") || target.starts_with("plugin_host") {
            assert!(!line.contains("f0rged"), "{line}");
            named |= event["span"]["id"] == "named-by-the-caller";
        }
    }
    assert!(named, "{log}");
    assert!(log.contains("plugin admitted"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_hangup_ends_nothing() {
    let program = Program::with(&[], &[]).await;
    program.send("-HUP").await;
    let url = program.url();
    let output = Command::new("curl")
        .args(["-fsS", &format!("{url}/healthz")])
        .env("no_proxy", "*")
        .output()
        .await
        .unwrap();
    assert_eq!(text(&output.stdout), "ok");
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0));
    // On loopback there is nobody to listen in.
    assert!(!log.contains("serving without TLS"), "{log}");
}

#[tokio::test]
async fn the_program_shows_what_the_libraries_count_too() {
    let token = "the-token-of-the-administrator";
    let program = Program::with(
        &["--admin-listen", "127.0.0.1:0"],
        &[("PLUGIN_HOST_ADMIN_TOKEN", token)],
    )
    .await;
    let (_, admin) = program.script.split_once("/admin: ").unwrap();
    let (url, admin) = (program.url(), admin.lines().next().unwrap());
    assert!(!program.script.contains(token));
    let script = format!(
        "curl -fsS -o /dev/null -H 'content-type: application/json' --data '{{}}' {url}/connectplugin.health.v1.HealthService/Check; curl -fsS -H 'authorization: Bearer {token}' {admin}/metrics"
    );
    let output = paste(&script, None).await;
    let metrics = text(&output.stdout);
    let line = r#"tower_plugin_ratelimit_requests_total{policy="client",event="allowed"} 1"#;
    assert!(metrics.lines().any(|known| known == line), "{metrics}");
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0));
    assert!(!log.contains(token));
}
