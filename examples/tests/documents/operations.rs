//! What who runs a host does.

use tower_plugin_tests::documents::{blocks, read};

use crate::{host::assert_pasted, terminal::Terminal};

#[tokio::test]
async fn an_audit_log_is_kept_and_verified() {
    let [block] = blocks("examples/README.md", "Audit");
    let [keys, host, verify] = block.lines()[..] else {
        panic!("{block:?}");
    };
    let mut terminal = Terminal::new();
    terminal.types(keys).types(host).adds("paste host-1");
    terminal.adds("echo verified:").types(verify);
    // One byte of it.
    terminal.adds("sed -i 's/authn_login_success/authn_login_succes5/' log/audit.*.jsonl");
    terminal.types(&format!("{verify} || echo status $?"));
    let said = terminal.prints().await;
    let (pasted, verified) = said.split_once("verified:\n").unwrap();
    assert_pasted(pasted);
    let (intact, changed) = verified.split_once(": intact\n").unwrap();
    assert_eq!(intact.lines().count(), 1, "{verified}");
    assert!(changed.ends_with("status 1\n"), "{verified}");
}

#[tokio::test]
async fn the_administration_answers_at_every_address_of_its_table() {
    let [block] = blocks("examples/README.md", "Administration");
    let mut terminal = Terminal::new()
        .meaning("ADMIN_TOKEN=...", "ADMIN_TOKEN=$TOKEN")
        .meaning("127.0.0.1:9090", "127.0.0.1:0");
    terminal.adds(&format!("TOKEN={TOKEN}\n{KEYS}"));
    // What verifies it wants a log.
    terminal.adds("export PLUGIN_HOST_AUDIT_FILE=log/audit PLUGIN_HOST_AUDIT_KEY_FILE=audit.keys");
    terminal
        .types(&block.text)
        .adds("ask() { curl -sS -o /dev/null -w '%{http_code} ' \"$@\" \"$ADMIN_URL$path\"; }");
    let text = read("examples/README.md");
    let (_, section) = text.split_once("### Administration").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut expected = String::new();
    for row in rows {
        let (method, rest) = row.split_once(' ').unwrap();
        let (path, what) = rest.split_once("` | ").unwrap();
        let (before, after) = path.split_once('{').unwrap_or((path, ""));
        let after = after.split_once('}').map_or("", |(_, after)| after);
        if path.contains('{') {
            terminal.adds(". ./host-1.out > pasted");
            terminal.adds(&format!("path={before}$RUNTIME_ID{after}"));
        } else {
            terminal.adds(&format!("path={path}"));
        }
        terminal.adds(&format!(
            "echo '{method} {path}' $(ask -X {method}) $(ask -X {method} -H \"Authorization: Bearer $TOKEN\")"
        ));
        let stranger = match what.contains("for everyone") || path == "/" {
            true => 200,
            false => 401,
        };
        expected += &format!("{method} {path} {stranger} 200\n");
    }
    assert_eq!(expected.lines().count(), 12, "{expected}");
    assert_eq!(terminal.prints().await, expected);
}

#[tokio::test]
async fn the_runbook_is_followed_as_written() {
    let [shell] = blocks("docs/runbook.md", "Runbook");
    let [revoke] = blocks("docs/runbook.md", "A token has leaked");
    let [quarantine, verify] = blocks("docs/runbook.md", "A plugin has gone bad");
    let mut terminal = Terminal::new()
        .meaning("http://127.0.0.1:9090", "$ADMIN_URL")
        .meaning("cache-plugin-7Qm4...", "$RUNTIME_ID");
    terminal.adds(&format!("(umask 077; echo {TOKEN} > admin-token)\n{KEYS}"));
    terminal.types(HOST).adds(PLUGIN).types(&shell.text);
    terminal.adds("join; report").types(&revoke.text);
    terminal.adds("echo; report; join; report");
    terminal.types(&quarantine.text).adds("echo; report; join");
    terminal.types(&verify.text);
    // "`DELETE` on the same address"
    let release = quarantine.text.replace("POST", "DELETE");
    terminal.types(&release).adds("echo; join");
    let said = terminal.prints().await;
    let lines: Vec<_> = said.lines().collect();
    let revoked = r#"{"revoked":1"#;
    let out = r#""quarantined":{"plugin":"cache-plugin"},"tokens_revoked":1"#;
    let back = r#"{"released":{"plugin":"cache-plugin"}}"#;
    let expected = [
        "join 200",
        "report 200",
        revoked,
        "report 401",
        "join 200",
        "report 200",
        out,
        "report 401",
        "join 403",
        ": intact",
        "anchor: ",
        back,
        "join 200",
    ];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected}: {said}");
    }
}

const TOKEN: &str = "the-token-of-the-administrator";

const KEYS: &str =
    r#"mkdir log; (umask 077; printf '1 %s\n' "$(openssl rand -hex 32)" > audit.keys)"#;

const HOST: &str = "plugin-host --admin-listen 127.0.0.1:0 --admin-token-file admin-token --audit-file log/audit --audit-key-file audit.keys";

/// A plugin that joins, and reports how it is.
const PLUGIN: &str = r#"
json="Content-Type: application/json"
join() {
    printf '{"coreProtocolVersion":1,"appProtocolVersion":1,"magicCookieKey":"CONNECT_PLUGIN","magicCookieValue":"%s","selfId":"cache-plugin"}' "$SECRET" > hello
    printf 'join '
    command curl -sS -o answer -w '%{http_code}\n' -H "$json" --data @hello "$URL/connectplugin.v1.HandshakeService/Handshake"
    id=$(sed -n 's/.*"runtimeId": *"\([^"]*\)".*/\1/p' answer)
    RUNTIME_ID=${id:-none}
    RUNTIME_TOKEN=$(sed -n 's/.*"runtimeToken": *"\([^"]*\)".*/\1/p' answer)
}
report() {
    printf 'report '
    command curl -sS -o /dev/null -w '%{http_code}\n' -H "$json" -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"state":"HEALTH_STATE_HEALTHY"}' "$URL/connectplugin.v1.PluginLifecycle/ReportHealth"
}
"#;
