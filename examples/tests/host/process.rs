//! The program itself: what it prints, and how it ends.

use std::{
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// To others than its owner.
pub(crate) fn close(path: &std::path::Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    logged: JoinHandle<()>,
    pub(crate) script: String,
}

impl Program {
    pub(crate) async fn start(arguments: &[&str], secret: Option<&str>) -> Self {
        let secret = secret.map(|secret| ("PLUGIN_HOST_BOOTSTRAP_SECRET", secret));
        Self::with(arguments, secret.as_slice()).await
    }

    async fn start_with_log(level: &str, arguments: &[&str]) -> Self {
        Self::with(arguments, &[("RUST_LOG", level)]).await
    }

    pub(crate) async fn with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::bare(
            &[&["--listen", "127.0.0.1:0"], arguments].concat(),
            environment,
        )
        .await
    }

    // The script is complete when its last command is there: the program prints it in one write.
    pub(crate) async fn bare(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-host"));
        command
            .args(arguments)
            .env_remove("PLUGIN_HOST_ADMIN_TOKEN")
            .env_remove("PLUGIN_HOST_BOOTSTRAP_SECRET")
            .env_remove("PLUGIN_HOST_REDIS_URL")
            .env_remove("PLUGIN_HOST_TOKEN_KEYS")
            .envs(environment.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // Read all the time: whoever writes to a full pipe waits.
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<String>>::default();
        let lines = Arc::clone(&log);
        let logged = tokio::spawn(async move {
            while let Some(line) = stderr.next_line().await.unwrap() {
                let mut lines = lines.lock().unwrap();
                lines.push_str(&line);
                lines.push('\n');
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut script = String::new();
        while let Some(line) = timeout(WAIT, lines.next_line()).await.unwrap().unwrap() {
            script += &line;
            script.push('\n');
            if line.starts_with("for ") {
                break;
            }
        }
        Self {
            child,
            log,
            logged,
            script,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        let (_, rest) = self.script.split_once("listens on ").unwrap();
        rest.lines().next().unwrap().to_owned()
    }

    pub(crate) async fn send(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits until this many lines of the log contain this.
    pub(crate) async fn logs(&self, what: &str, lines: usize) {
        crate::support::eventually(what, async || {
            let log = self.log.lock().unwrap();
            log.lines().filter(|line| line.contains(what)).count() >= lines
        })
        .await;
    }

    pub(crate) async fn signal(mut self, signal: &str) -> (std::process::ExitStatus, String) {
        self.send(signal).await;
        let status = timeout(WAIT, self.child.wait()).await.unwrap().unwrap();
        timeout(WAIT, self.logged).await.unwrap().unwrap();
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }
}

pub(crate) async fn paste(script: &str, secret: Option<&str>) -> Output {
    let secret = secret.map(|secret| ("PLUGIN_HOST_BOOTSTRAP_SECRET", secret));
    paste_with(script, secret.as_slice()).await
}

pub(crate) async fn paste_with(script: &str, environment: &[(&str, &str)]) -> Output {
    let curl = Command::new("curl").arg("--version").output().await;
    assert!(curl.is_ok(), "curl is missing: apt-get install curl");
    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", script])
        .env_remove("PLUGIN_HOST_BOOTSTRAP_SECRET")
        .env("no_proxy", "*")
        .envs(environment.iter().copied());
    timeout(WAIT, shell.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_printed_commands_work_as_pasted() {
    let secret = "a-secret-of-the-operator";
    let file = std::env::temp_dir().join(format!("plugin-host's {}", std::process::id()));
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    close(&file);
    let allowed = ["--allow-register=curl=logger", "--allow-call=curl=logger"];
    for (arguments, secret) in [
        (vec![], None),
        (allowed.to_vec(), Some(secret)),
        (
            [
                &allowed[..],
                &["--bootstrap-secret-file", file.to_str().unwrap()],
            ]
            .concat(),
            None,
        ),
        ([&allowed[..], &["--open-admission"]].concat(), None),
    ] {
        let program = Program::start(&arguments, secret).await;
        assert!(secret.is_none_or(|secret| !program.script.contains(secret)));
        let output = paste(&program.script, secret).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{errors}", program.script);
        let lines: Vec<_> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        assert!((6..=14).contains(&lines.len()), "{lines:?}");
        assert!(lines[0].contains(r#""registrationId":"reg-"#), "{lines:?}");
        assert!(
            lines[1].contains(r#""endpointUrl":"/services/logger/curl-"#),
            "{lines:?}"
        );
        // Health is reported, and a line is in the host's log.
        assert_eq!((&*lines[2], &*lines[3]), ("{}", "{}"));
        let (admitted, refused) = lines[4..].split_at(lines.len() - 6);
        assert!(
            admitted.iter().all(|line| line == "HTTP/1.1 200 OK"),
            "{lines:?}"
        );
        assert_eq!(refused[0], "HTTP/1.1 429 Too Many Requests");
        let wait = refused[1].strip_prefix("retry-after: ").unwrap();
        assert!(wait.parse::<u64>().unwrap() >= 1, "{lines:?}");
        program.signal("-TERM").await;
    }
    std::fs::remove_file(file).unwrap();
}

// Nothing is open on a host that was told who is admitted, and not what they may do.
#[tokio::test]
async fn a_script_that_is_refused_says_what_would_let_it() {
    let secret = Some("a-secret-of-the-operator");
    let program = Program::start(&[], secret).await;
    let line = "--allow-register curl=logger --allow-call curl=logger";
    assert!(program.script.contains(line), "{}", program.script);
    let output = paste(&program.script, secret).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("403"),
        "{errors}"
    );
    let (_, log) = program.signal("-TERM").await;
    for flag in ["--allow-register", "--allow-call"] {
        assert_eq!(log.matches(flag).count(), 1, "{log}");
    }

    let program = Program::start(&[], None).await;
    assert!(!program.script.contains("--allow"), "{}", program.script);
    let (_, log) = program.signal("-TERM").await;
    assert_eq!(log.matches("to be tried out").count(), 1, "{log}");
}

#[tokio::test]
async fn a_script_for_bound_grants_sends_who_calls_beside_the_grant() {
    let program = Program::start(&["--bind-grants"], None).await;
    let output = paste(&program.script, None).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", program.script);
    assert!(program.script.contains("X-Plugin-Grant"));
    let (_, log) = program.signal("-TERM").await;
    assert!(log.contains("hello from curl"), "{log}");
}

#[tokio::test]
async fn a_quota_that_the_script_does_not_reach_is_no_failure() {
    let program = Program::start(&["--register-quota", "1000/s"], None).await;
    let output = paste(&program.script, None).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("429"), "{text}");
    assert_eq!(text.lines().count(), 4 + 10, "{text}");
    program.signal("-TERM").await;
}

#[tokio::test]
async fn a_signal_ends_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let (status, log) = Program::start(&[], None).await.signal(signal).await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("shutting down"), "{log}");
    }
}

#[tokio::test]
async fn the_generated_secret_is_printed_once_and_logged_never() {
    let program = Program::start(&[], None).await;
    let secret = program
        .script
        .lines()
        .find_map(|line| line.strip_prefix("PLUGIN_HOST_BOOTSTRAP_SECRET='"))
        .unwrap();
    let secret = secret.trim_end_matches('\'').to_owned();
    assert_eq!(
        (secret.len(), program.script.matches(&secret).count()),
        (64, 1)
    );
    let (_, log) = program.signal("-TERM").await;
    assert!(!log.contains(&secret));
}

// `%0a` in a path used to begin a line of its own in the log.
#[tokio::test]
async fn f61_a_caller_cannot_write_lines_of_the_log() {
    let level = "info,tower_plugin_examples=debug";
    let program = Program::start_with_log(level, &["--register-quota", "1000/s"]).await;
    let calls = r#"
OFFER='{"serviceType":"logger","version":"1.0.0","endpointPath":"/l/","metadata":{"base_url":"http://10.0.0.1\nERROR forged\u001b[2J"}}'
curl -sS -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data "$OFFER" $URL/connectplugin.v1.ServiceRegistry/RegisterService
for METHOD in 'Log%0aERROR%20forged' 'Log%1b%5b2J' 'Log%20a'; do
curl -sS -o /dev/null -w '%{http_code}\n' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data x "$URL/services/logger/$RUNTIME_ID/$METHOD"
done
"#;
    let script = format!("{}\nURL={}\n{calls}", program.script, program.url());
    let output = paste(&script, None).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("400\n400\n400\n404\n"), "{said}");
    let (_, log) = program.signal("-TERM").await;
    assert!(log.contains(r#"method="Log%20a""#), "{log}");
    assert!(!log.contains("forged") && !log.contains('\u{1b}'), "{log}");
}

#[tokio::test]
async fn a_bad_configuration_is_told_and_nothing_listens() {
    let refused = async |arguments: Vec<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-host"));
        command
            .args(arguments)
            .env("PLUGIN_HOST_BOOTSTRAP_SECRET", "short");
        let output = timeout(WAIT, command.output()).await.unwrap().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused(vec!["--listen", "127.0.0.1:0"]).await;
    assert!(
        error.contains("PLUGIN_HOST_BOOTSTRAP_SECRET: bootstrap_secret must be 16 to 1024 visible"),
        "{error}"
    );
    for (flag, value, message) in [
        (
            "--provider",
            "logger",
            "must have the form NAME=http://HOST",
        ),
        ("--provider", "a/b=http://10.0.0.1/", "NAME must be"),
        ("--provider", "a=https://10.0.0.1/", "URL must be http://"),
        (
            "--provider",
            "a=http://169.254.169.254/",
            "URL must be http://",
        ),
        ("--provider-network", "10.0.0.1/33", "--provider-network"),
    ] {
        let error = refused(vec![flag, value]).await;
        assert!(error.contains(message), "{flag} {value}: {error}");
    }
    let error = refused(vec!["--bootstrap-secret", "s3cr3t"]).await;
    assert!(error.contains("unexpected argument"), "{error}");
}

#[tokio::test]
async fn a_password_of_redis_is_told_to_nobody() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-host"));
    command
        .args(["--listen", "127.0.0.1:0", "--redis", "redis://:s3cr3t@r"])
        .env_remove("PLUGIN_HOST_REDIS_URL");
    let output = timeout(WAIT, command.output()).await.unwrap().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("--redis is visible") && !error.contains("s3cr3t"),
        "{error}"
    );

    // Nobody listens there: it says so, and is there.
    let url = "redis://:s3cr3t@127.0.0.1:1";
    let file = std::env::temp_dir().join(format!("plugin-host-redis-{}", std::process::id()));
    std::fs::write(&file, url).unwrap();
    close(&file);
    let arguments = [
        "--redis-url-file",
        file.to_str().unwrap(),
        "--redis-leases",
        "5",
    ];
    let keys = format!("1 {}", "0a".repeat(32));
    let program = Program::with(&arguments, &[("PLUGIN_HOST_TOKEN_KEYS", &keys)]).await;
    let without = "enforce one limit and know the same tokens, leasing 5 % of each burst; without Redis: local:2.";
    assert!(program.script.contains(without), "{}", program.script);
    // The tokens are there as well, so nobody gets one.
    let output = paste(&program.script, None).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("503"), "{errors}");
    assert!(!program.script.contains("s3cr3t") && !program.script.contains("0a0a"));
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        log.contains("no connection to redis") && !log.contains("s3cr3t"),
        "{log}"
    );
    std::fs::remove_file(file).unwrap();
}
