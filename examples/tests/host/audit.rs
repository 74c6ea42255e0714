//! What is written down.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::{Program, close},
    support::{Admin, BROKER, DISCOVER, HANDSHAKE, Host, handshake},
};

fn keys(folder: &TempDir) -> String {
    let path = folder.path().join("keys");
    fs::write(&path, format!("1 {}\n", "7a".repeat(32))).unwrap();
    close(&path);
    path.to_str().unwrap().to_owned()
}

fn log(folder: &TempDir) -> String {
    folder.path().join("audit").to_str().unwrap().to_owned()
}

/// The first file of the log.
fn written(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("audit.00000001.jsonl")).unwrap()
}

#[tokio::test]
async fn refusals_tokens_grants_and_admissions_are_written_down_and_no_secret_is() {
    let folder = TempDir::new().unwrap();
    let (log, keys) = (log(&folder), keys(&folder));
    let arguments = ["--audit-file", &log, "--audit-key-file", &keys];
    let host = Host::with(&arguments).await;
    let admin = Admin::of(&host);
    let plugin = host.admit("p").await;
    let wrong = handshake(json!({ "selfId": "p", "magicCookieValue": "wr0ng-s3cr3t-of-somebody" }));
    host.call(HANDSHAKE, None, wrong)
        .await
        .refused(400, "invalid_argument");
    host.call(DISCOVER, None, json!({}))
        .await
        .refused(401, "unauthenticated");
    let request = json!({ "capabilityType": "logger", "reason": "to be seen" });
    let granted = host.call(BROKER, Some(&plugin), request).await.json();
    host.call(
        BROKER,
        Some(&plugin),
        json!({ "capabilityType": "secrets" }),
    )
    .await
    .refused(404, "not_found");
    assert_eq!(admin.send("POST", "/admin/quarantine/p").await.status, 200);

    let report = admin.send("GET", "/admin/audit/verify").await;
    assert_eq!(report.status, 200, "{}", report.text());
    let report = report.json();
    assert_eq!(
        (&report["intact"], &report["found"]),
        (&json!(true), &json!(0))
    );
    let text = written(&folder);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has = |expected: Value| {
        lines.iter().any(|line| {
            let expected = expected.as_object().unwrap().iter();
            expected.clone().all(|(name, value)| line[name] == *value)
        })
    };
    for expected in [
        json!({ "event": "authn_login_success", "action": "admit", "resource": "p" }),
        json!({ "event": "authn_token_created", "action": "issue" }),
        json!({ "event": "authn_login_fail", "action": "admit", "reason": "SECRET_WRONG" }),
        json!({ "event": "authn_login_fail", "reason": "MISSING_CREDENTIAL", "resource": DISCOVER,
            "client_ip": "127.0.0.1" }),
        json!({ "event": "authz_change", "action": "grant" }),
        json!({ "event": "authz_fail", "reason": "UNKNOWN_CAPABILITY", "resource": "secrets" }),
        json!({ "event": "authz_admin", "action": "quarantine" }),
        json!({ "event": "authn_login_success", "action": "POST",
            "resource": "/admin/quarantine/p" }),
    ] {
        assert!(has(expected.clone()), "{expected}\n{text}");
    }
    assert!(text.contains("to be seen"));
    let token = granted["grant"]["bearerToken"].as_str().unwrap();
    for secret in [&plugin.token[4 + 23..], &token[4 + 23..], "wr0ng-s3cr3t"] {
        assert!(!text.contains(secret), "{secret}");
    }

    let stats = admin.stats().await;
    let recent = stats["audit"].as_array().unwrap();
    assert!((5..=50).contains(&recent.len()));
    assert!(recent.iter().all(|event| event["event"].is_string()));
    assert!(
        stats["audit_log"]["lines"].as_u64().unwrap() >= 8,
        "{stats}"
    );
    assert_eq!(stats["audit_log"]["dropped"], 0);

    // Somebody has something to hide.
    let changed = text.replacen("SECRET_WRONG", "SECRET_RIGHT", 1);
    fs::write(folder.path().join("audit.00000001.jsonl"), changed).unwrap();
    let report = admin.send("GET", "/admin/audit/verify").await.json();
    assert_eq!(report["intact"], false, "{report}");
    host.stop().await;
}

#[tokio::test]
async fn a_call_to_a_capability_is_written_down_where_that_is_asked_for() {
    for (which, expected) in [("all", 1), ("counted", 0), ("none", 0)] {
        let folder = TempDir::new().unwrap();
        let (log, keys) = (log(&folder), keys(&folder));
        let host = Host::with(&[
            "--audit-file",
            &log,
            "--audit-key-file",
            &keys,
            "--audit-grant-uses",
            which,
        ])
        .await;
        let plugin = host.admit("p").await;
        let request = json!({ "capabilityType": "logger" });
        let granted = host.call(BROKER, Some(&plugin), request).await.json();
        let text = |name: &str| granted["grant"][name].as_str().unwrap().to_owned();
        let call = format!("{}/capability.logger.v1.Logger/Log", text("endpointUrl"));
        let bearer = format!("Bearer {}", text("bearerToken"));
        let answer = host
            .post(
                call.strip_prefix(&host.url("")).unwrap(),
                &[
                    ("content-type", "application/json"),
                    ("authorization", &bearer),
                ],
                r#"{"level":"info","message":"x"}"#,
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(host.state.flush_audit());
        let lines = written(&folder);
        let uses: Vec<_> = lines
            .lines()
            .filter(|line| line.contains("grant_used"))
            .collect();
        assert_eq!(uses.len(), expected, "{which}: {lines}");
        assert!(uses.iter().all(|line| line.contains(&text("grantId"))));
        host.stop().await;
    }
}

#[tokio::test]
async fn what_was_recorded_is_on_disk_when_the_host_has_ended() {
    let folder = TempDir::new().unwrap();
    let (log, keys) = (log(&folder), keys(&folder));
    let arguments = ["--audit-file", &log, "--audit-key-file", &keys];
    for run in 1..=2 {
        let program = Program::with(&arguments, &[]).await;
        let said = crate::process::paste_with(&program.script, &[]).await;
        assert!(said.status.success());
        let (status, errors) = program.signal("-TERM").await;
        assert_eq!(status.code(), Some(0), "{errors}");
        assert!(!errors.contains("--audit-file"), "{errors}");
        let text = written(&folder);
        let refused = text.matches("excess_rate_limit_exceeded").count();
        assert_eq!(refused, run, "{text}");
    }
    let verified = tokio::process::Command::new(env!("CARGO_BIN_EXE_audit"))
        .args(["verify", &log, "--keys", &keys])
        .output()
        .await
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn without_an_audit_log_it_is_said_once_and_there_is_nothing_to_verify() {
    let host = Host::start().await;
    let admin = Admin::of(&host);
    assert_eq!(admin.send("GET", "/admin/audit/verify").await.status, 404);
    assert_eq!(admin.stats().await["audit"], Value::Null);
    host.stop().await;
    let (_, log) = Program::with(&[], &[]).await.signal("-TERM").await;
    assert_eq!(log.matches("--audit-file").count(), 1, "{log}");
}
