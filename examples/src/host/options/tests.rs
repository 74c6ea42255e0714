use std::{env, fs, process, sync::mpsc, thread, time::Duration};

use clap::{CommandFactory, Parser};

use tower_plugin_ratelimit::redis::OnUnavailable;

use super::*;

const SECRET: &str = "correct-horse-battery";

fn options(arguments: &[&str]) -> Options {
    Options::try_parse_from([&["plugin-host"], arguments].concat()).unwrap()
}

/// To others than its owner.
fn close(path: &std::path::Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, content: &str) -> Self {
        let path = env::temp_dir().join(format!("plugin-host-{}-{name}", process::id()));
        fs::write(&path, content).unwrap();
        close(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Options::command().debug_assert();
    let defaults = options(&[]);
    assert_eq!(defaults.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        defaults.into_config(None).unwrap().0.tokens.ttl,
        Duration::from_secs(86_400)
    );
}

fn open(door: Door) -> tower_plugin_auth::Admission {
    let clock = std::sync::Arc::new(tower_plugin_core::SystemClock::new());
    let grants = tower_plugin_auth::store::MemoryGrantStore::new(1).unwrap();
    door.open(clock, |_| {}, grants).unwrap()
}

fn admits(door: Door, secret: &str) -> bool {
    let name = "p".parse().unwrap();
    let admission = open(door);
    let knows = |secret| {
        let applicant = tower_plugin_auth::admission::Applicant::new(&name);
        admission
            .admit(&applicant.with_secret("CONNECT_PLUGIN", secret))
            .is_ok()
    };
    knows(secret) && !knows(&format!("{secret}x"))
}

#[test]
fn a_generated_secret_admits_and_is_new_each_time() {
    let generate = || {
        let (config, source) = options(&[]).into_config(None).unwrap();
        let SecretSource::Generated(secret) = source else {
            panic!("{source:?}")
        };
        assert!(admits(config.admission, secret.expose()));
        assert!(!format!("{secret:?}").contains(secret.expose()));
        secret.expose().to_owned()
    };
    let first = generate();
    assert_eq!(first.len(), 64);
    assert_ne!(first, generate());
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file() {
    let (config, source) = options(&[]).into_config(Some(SECRET.to_owned())).unwrap();
    assert!(matches!(source, SecretSource::Environment));
    assert!(admits(config.admission, SECRET));

    let file = TemporaryFile::new("secret", &format!("{SECRET}\r\n"));
    let (config, source) = options(&["--bootstrap-secret-file", file.path()])
        .into_config(None)
        .unwrap();
    assert!(matches!(source, SecretSource::File(_)));
    assert!(admits(config.admission, SECRET));
}

#[test]
fn an_unusable_secret_is_refused_by_origin_and_never_shown() {
    let empty = TemporaryFile::new("empty", "\n");
    let large = TemporaryFile::new("large", &"x".repeat(5000));
    for (arguments, environment, message) in [
        (
            vec![],
            Some("s3cr3t"),
            "PLUGIN_HOST_BOOTSTRAP_SECRET: bootstrap_secret must be 16 to 1024 visible",
        ),
        (
            vec!["--bootstrap-secret-file", empty.path()],
            None,
            "the bootstrap secret file: bootstrap_secret must be 16 to 1024 visible",
        ),
        (
            vec!["--bootstrap-secret-file", large.path()],
            None,
            "--bootstrap-secret-file ",
        ),
        (
            vec!["--bootstrap-secret-file", "/nonexistent"],
            None,
            "--bootstrap-secret-file /nonexistent: ",
        ),
        (vec!["--open-admission"], Some(SECRET), "choose one of "),
        (
            vec!["--bootstrap-secret-file", empty.path()],
            Some(SECRET),
            "choose one of ",
        ),
    ] {
        let error = options(&arguments)
            .into_config(environment.map(str::to_owned))
            .unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(
            !format!("{error} {error:?}").contains(environment.unwrap_or("xxxx")),
            "{error:?}"
        );
    }
}

// A pipe used to stop the start for good, and a device to take all memory.
#[cfg(unix)]
#[test]
fn a_secret_file_that_is_no_file_is_refused_at_once() {
    let pipe = env::temp_dir().join(format!("plugin-host-{}-pipe", process::id()));
    let made = process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
        let options = options(&["--bootstrap-secret-file", path]);
        let (done, refusal) = mpsc::channel();
        thread::spawn(move || done.send(options.into_config(None).unwrap_err().to_string()));
        let refusal = refusal.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(refusal.ends_with(": not a regular file"), "{refusal}");
    }
    fs::remove_file(pipe).unwrap();
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_or_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let file = TemporaryFile::new("modes", SECRET);
    for (mode, is_taken) in [
        (0o600, true),
        (0o400, true),
        (0o700, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
        (0o602, false),
    ] {
        fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
        let config = options(&["--bootstrap-secret-file", file.path()]).into_config(None);
        assert_eq!(config.is_ok(), is_taken, "{mode:o}");
        if let Err(error) = config {
            assert!(error.to_string().ends_with("chmod 600 it"), "{error}");
        }
    }
}

#[test]
fn the_public_cookie_admits_only_by_that_flag() {
    let public = crate::host::admission::PUBLIC_COOKIE;
    assert!(options(&[]).into_config(Some(public.to_owned())).is_err());
    let (config, _) = options(&["--open-admission"]).into_config(None).unwrap();
    assert!(open(config.admission).is_open());
}

#[test]
fn impossible_settings_are_refused_by_name() {
    for bad in [
        ["--token-ttl", "59s"],
        ["--token-ttl", "31d"],
        ["--token-ttl", "24"],
        ["--token-ttl", "h"],
        ["--token-ttl", "0h"],
        ["--token-ttl", "+1h"],
        ["--token-ttl", "99999999999999999999h"],
        ["--token-ttl", "1é"],
        ["--connections-per-client", "0"],
        ["--connections-per-client", "4097"],
        ["--drain", "1w"],
        ["--handshake-quota", "0/s"],
        ["--discover-quota", "ten/s"],
        ["--client-quota", ""],
        ["--listen", "8080"],
        ["--plugin", "kv"],
        ["--plugin", "kv=1.0=/kv/"],
        ["--plugin", "k/v=1.0.0=/kv/"],
        ["--plugin", "kv=1.0.0=kv"],
        ["--redis-leases", "0"],
        ["--redis-leases", "51"],
        ["--redis-on-unavailable", "local"],
        ["--token-idle", "59s"],
        ["--token-overlap", "2h"],
        ["--token-capacity", "0"],
        ["--connections", "0"],
        ["--connection-idle", "1s"],
        ["--header-timeout", "2m"],
        ["--max-deadline", "2h"],
        ["--max-registrations", "0"],
        ["--tls-client-auth", "maybe"],
        ["--tls-reload", "0s"],
        ["--tls-handshakes", "0"],
        ["--admin-quota", "0/s"],
        ["--log-format", "xml"],
    ] {
        let error =
            Options::try_parse_from([&["plugin-host"], bad.as_slice()].concat()).unwrap_err();
        assert!(error.to_string().contains(bad[0]), "{error}");
    }
}

#[test]
fn quotas_are_kept_where_it_is_said() {
    let keys = format!("1 {}", "0a".repeat(32));
    let with_keys = |arguments: &[&str]| {
        let mut options = options(arguments);
        options.tokens.environment = Some(keys.parse().unwrap());
        options
    };
    let redis = |arguments: &[&str]| with_keys(arguments).into_config(None).unwrap().0.redis;
    assert!(redis(&[]).is_none());
    let defaults = redis(&["--redis", "redis://127.0.0.1:6379"]).unwrap();
    assert_eq!(defaults.url.expose(), "redis://127.0.0.1:6379");
    assert_eq!(defaults.leases, None);
    assert_eq!(
        defaults.on_unavailable,
        OnUnavailable::Local { replicas: 2 }
    );
    let told = ["--redis", "redis://r", "--redis-leases", "5"];
    assert_eq!(redis(&told).unwrap().leases, Some(5));

    let password = "redis://:s3cr3t@r";
    let file = TemporaryFile::new("redis", &format!("{password}\n"));
    let by_file = redis(&["--redis-url-file", file.path()]).unwrap();
    assert_eq!(by_file.url.expose(), password);
    let mut by_environment = with_keys(&[]);
    by_environment.redis.environment = Some(password.parse().unwrap());
    assert!(!format!("{by_environment:?}").contains("s3cr3t"));
    let (config, _) = by_environment.into_config(None).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert_eq!(config.redis.unwrap().url.expose(), password);
}

#[test]
fn copies_on_redis_need_keys_they_all_have() {
    let redis = ["--redis", "redis://r"];
    let error = options(&redis).into_config(None).unwrap_err().to_string();
    assert!(
        error.contains("PLUGIN_HOST_TOKEN_KEYS or --token-key-file"),
        "{error}"
    );
    let key = format!("1 {}", "5e".repeat(32));
    let file = TemporaryFile::new("keys", &key);
    let by_file = [&redis[..], &["--token-key-file", file.path()]].concat();
    let (config, _) = options(&by_file).into_config(None).unwrap();
    assert!(config.token_keys.is_some());
    assert!(!format!("{config:?}").contains("5e5e"));

    let mut twice = options(&by_file);
    twice.tokens.environment = Some(key.parse().unwrap());
    let error = twice.into_config(None).unwrap_err().to_string();
    assert!(error.contains("both are set"), "{error}");
    let mut broken = options(&redis);
    broken.tokens.environment = Some(key[..60].parse().unwrap());
    let error = broken.into_config(None).unwrap_err().to_string();
    assert!(
        error.contains("64 hexadecimal digits") && !error.contains("5e5e"),
        "{error}"
    );
}

#[test]
fn an_address_of_redis_is_refused_without_being_shown() {
    let elsewhere = Some("redis://r");
    for (arguments, environment, message) in [
        (
            vec!["--redis", "redis://:s3cr3t@r"],
            None,
            "--redis is visible",
        ),
        (
            vec!["--redis", "redis+unix:///r?pass=s3cr3t"],
            None,
            "--redis is visible",
        ),
        (vec!["--redis", "redis://r"], elsewhere, "choose one of "),
        (
            vec!["--redis-url-file", "/nonexistent"],
            elsewhere,
            "choose one of ",
        ),
        (
            vec!["--redis-url-file", "/nonexistent"],
            None,
            "--redis-url-file /nonexistent: ",
        ),
        (vec!["--redis-leases", "5"], None, "--redis-leases and "),
        (
            vec!["--redis-on-unavailable", "deny"],
            None,
            "--redis-leases and ",
        ),
    ] {
        let mut options = options(&arguments);
        options.redis.environment = environment.map(|url| url.parse().unwrap());
        let error = options.into_config(None).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
}

#[test]
fn what_to_do_without_redis_is_read_as_it_is_written() {
    let local = |replicas| OnUnavailable::Local { replicas };
    let floor = |percent, replicas| OnUnavailable::Floor { percent, replicas };
    for (text, what) in [
        ("allow", OnUnavailable::Allow),
        ("deny", OnUnavailable::Deny),
        ("local:3", local(3)),
        ("floor:20:8", floor(20, 8)),
    ] {
        let parsed: WithoutRedis = text.parse().unwrap();
        assert_eq!((parsed.0, parsed.to_string().as_str()), (what, text));
    }
    for text in [
        "",
        "local",
        "local:",
        "local:0",
        "local:+2",
        "local:2:3",
        "floor:20",
        "floor:0:8",
        "floor:91:8",
        "floor:276:8",
        "floor:20:0",
        "allow:1",
        "ALLOW",
    ] {
        assert_eq!(text.parse::<WithoutRedis>(), Err(InvalidWithoutRedis));
    }
}

#[test]
fn what_a_head_may_be_is_what_the_preset_says_but_for_the_path() {
    let head = options(&[]).head.build().unwrap();
    let preset = Limits::plugin().to_builder().path_bytes(1024).build();
    assert_eq!(head, preset.unwrap());
    let error = options(&["--max-headers", "0"])
        .into_config(None)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("header_count must be between "),
        "{error}"
    );
}

#[test]
fn administration_needs_one_good_token_and_a_closed_way_to_it() {
    let token = TemporaryFile::new("admin", "0123456789abcdef\n");
    let short = TemporaryFile::new("admin-short", "s3cr3t");
    let file = ["--admin-token-file", token.path()];
    let at = |address: &'static str, more: &[&str]| {
        let mut options = options(&[&["--admin-listen", address], more].concat());
        options.admin.environment = None;
        options.load_admin().map(|admin| admin.is_some())
    };
    assert!(at("127.0.0.1:0", &file).unwrap());
    assert!(at("[::1]:0", &file).unwrap());
    assert!(options(&[]).load_admin().unwrap().is_none());
    for (refused, message) in [
        (at("127.0.0.1:0", &[]), "--admin-listen needs a token"),
        (at("0.0.0.0:0", &file), "--admin-listen can be reached"),
        (
            at("127.0.0.1:0", &["--admin-tls", file[0], file[1]]),
            "--admin-tls needs --tls-cert",
        ),
        (
            at("127.0.0.1:0", &["--admin-token-file", short.path()]),
            "--admin-token-file must be 16 to 512",
        ),
        (
            options(&file).load_admin().map(|admin| admin.is_some()),
            "--admin-token-file and --admin-tls need --admin-listen",
        ),
    ] {
        let error = refused.unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("s3cr3t"),
            "{error:?}"
        );
    }
    let mut both = options(&["--admin-listen", "127.0.0.1:0", file[0], file[1]]);
    both.admin.environment = Some("fedcba9876543210".parse().unwrap());
    assert!(!format!("{both:?}").contains("fedcba"));
    let error = both.load_admin().unwrap_err();
    assert!(error.to_string().starts_with("choose one of "), "{error}");
}

#[test]
fn a_setting_of_tls_without_a_certificate_is_refused() {
    for (arguments, flag) in [
        (&["--tls-cert", "/c"][..], "--tls-cert"),
        (&["--tls-key", "/k"], "--tls-key"),
        (&["--tls-client-ca", "/a"], "--tls-client-ca"),
        (&["--require-tls"], "--require-tls"),
    ] {
        let error = options(arguments).load_tls().unwrap_err().to_string();
        assert_eq!(error, format!("{flag} needs --tls-cert and --tls-key"));
    }
    let error = options(&["--tls-cert", "/nonexistent", "--tls-key", "/k"]).load_tls();
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("--tls-cert /nonexistent: "), "{error}");
}
