//! A host, and plugins that come to it.

use tower_plugin_tests::documents::blocks;

use crate::terminal::Terminal;

/// What a host's own commands print when they are pasted, from the first registration to the rate limit.
#[track_caller]
pub(crate) fn assert_pasted(said: &str) {
    for part in [
        r#""registrationId":"reg-"#,
        r#""endpointUrl":"/services/logger/curl-"#,
        // Health is reported, and a line is in the host's log.
        "\n{}\n{}\n",
        "\nHTTP/1.1 429 Too Many Requests\nretry-after: ",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[tokio::test]
async fn a_host_prints_commands_that_work_as_pasted() {
    let [readme] = blocks("README.md", "Try it");
    let [examples, _] = blocks("examples/README.md", "plugin-host");
    for block in [readme, examples] {
        let mut terminal = Terminal::new();
        terminal.types(&block.text).adds("paste host-1");
        assert_pasted(&terminal.prints().await);
    }
}

#[tokio::test]
async fn a_plugins_life_is_played_in_a_second_terminal() {
    let [first, second] = blocks("examples/README.md", "A plugin's life");
    let life = terminal().types(&first.text).prints().await;
    let last = "steps went as they should.";
    // "calls it through the host"
    let through = r#"the provider saw {"authorization":null,"forwarded":"for=_demo-"#;
    assert!(life.contains(last) && life.contains(through), "{life}");

    let [_, build] = blocks("examples/README.md", "plugin-host");
    // What was built for tests is larger than what is let in.
    let mut terminal = terminal()
        .meaning("cp target/release/plugin-demo plugins/", SMALL)
        .meaning("plugin-demo --", "plugin-demo --host $URL --");
    terminal.types(&build.text).types(&second.text);
    let life = terminal.prints().await;
    // "and tries to come in as another program first"
    let (before, after) = life
        .split_once("HTTP 403, permission_denied: admission refused")
        .unwrap_or_else(|| panic!("{life}"));
    assert!(!before.contains("now known as"), "{life}");
    assert!(after.contains("now known as plugin-demo-"), "{life}");
    assert!(after.contains(last), "{life}");
}

const SMALL: &str = "head -c 1000000 target/release/plugin-demo > plugins/plugin-demo";

/// Whoever types has read what the host has printed.
fn terminal() -> Terminal {
    Terminal::new()
        .meaning("BOOTSTRAP_SECRET=...", "BOOTSTRAP_SECRET=$SECRET")
        .meaning("http://127.0.0.1:8080", "$URL")
}

// The commands above leave out where the host is.
#[tokio::test]
async fn a_plugin_looks_for_a_host_where_hosts_are_by_default() {
    let mut terminal = Terminal::new();
    terminal.adds("unset PLUGIN_HOST_LISTEN; plugin-host --print-config | grep '^listen = '");
    terminal.adds("plugin-demo --help | grep -o 'default: .*8080'");
    let said = terminal.prints().await;
    let expected = "listen = \"127.0.0.1:8080\"\ndefault: http://127.0.0.1:8080\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_setting_is_said_in_three_ways() {
    let [block] = blocks("examples/README.md", "Settings");
    let mut terminal = Terminal::new();
    for line in block.lines() {
        let shown = format!("{line} --print-config | grep token-ttl");
        terminal.types(line).types(&shown);
    }
    let expected = "token-ttl = \"1h\" # from the command line\n\
                    token-ttl = \"1h\" # from the environment\n\
                    token-ttl = \"1h\" # from the file\n";
    assert_eq!(terminal.prints().await, expected);
}

#[tokio::test]
async fn a_host_calls_the_plugin_that_is_named() {
    let [block] = blocks("examples/README.md", "Managed plugins");
    // Nobody listens there.
    let mut terminal = Terminal::new().meaning("127.0.0.1:9001", "127.0.0.1:1");
    terminal.types(&block.text);
    terminal.adds(
        "until grep 'WARN.*plugin=cache' host-1.log > said; do sleep 0.05; done; echo called",
    );
    assert_eq!(terminal.prints().await, "called\n");
}

#[tokio::test]
async fn the_rights_that_are_shown_are_rights() {
    let [block] = blocks("examples/README.md", "Who may offer and call what");
    let mut terminal = Terminal::new();
    terminal.adds(&format!("cat > host.toml <<'END'\n{}\nEND", block.text));
    terminal.adds("plugin-host --config host.toml --print-config | grep -E '^(allow|deny)-'");
    let shown = terminal.prints().await;
    for line in block.lines() {
        assert!(
            shown.contains(&format!("{line} # from the file\n")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_host_with_a_certificate_asks_for_one_if_told_to() {
    let [block] = blocks("examples/README.md", "TLS");
    let [server, both] = block.lines()[..] else {
        panic!("{block:?}");
    };
    let mut terminal = Terminal::new();
    terminal
        .adds(CERTIFICATES)
        .types(server)
        .adds("paste host-1; echo ---")
        .types(both)
        .adds("paste host-2; echo ---")
        .adds("curl -sS --cacert $PLUGIN_HOST_CA $URL/healthz || echo refused");
    let said = terminal.prints().await;
    let [one, both, without] = said.split("---\n").collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert_pasted(one);
    assert_pasted(both);
    assert_eq!(without, "refused\n");
}

/// An authority, a host it knows and a plugin it knows.
const CERTIFICATES: &str = r#"
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
$new -x509 -subj "/CN=Example Authority" -keyout ca.key -out plugins-ca.pem 2> log
certify() {
    $new -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>> log
    echo "$2" > names
    openssl x509 -req -in "$1.csr" -CA plugins-ca.pem -CAkey ca.key -CAcreateserial -extfile names -out "$1.pem" 2>> log
}
certify host subjectAltName=IP:127.0.0.1
certify plugin subjectAltName=URI:spiffe://example.org/plugin
PLUGIN_HOST_CA=plugins-ca.pem PLUGIN_CERT=plugin.pem PLUGIN_KEY=plugin.key
"#;
