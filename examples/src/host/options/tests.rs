use std::{env, fs, process, sync::mpsc, thread};

use clap::{CommandFactory, Parser};

use tower_plugin_ratelimit::redis::OnUnavailable;

use super::*;

const SECRET: &str = "correct-horse-battery";

fn options(arguments: &[&str]) -> Options {
    Options::try_parse_from([&["plugin-host"], arguments].concat()).unwrap()
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, content: &str) -> Self {
        let path = env::temp_dir().join(format!("plugin-host-{}-{name}", process::id()));
        fs::write(&path, content).unwrap();
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
        defaults.into_config(None).unwrap().0.token_ttl,
        Duration::from_secs(86_400)
    );
}

#[test]
fn a_generated_secret_admits_and_is_new_each_time() {
    let generate = || {
        let (config, source) = options(&[]).into_config(None).unwrap();
        let SecretSource::Generated(secret) = source else {
            panic!("{source:?}")
        };
        assert!(config.admission.admits("CONNECT_PLUGIN", secret.expose()));
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
    assert!(config.admission.admits("CONNECT_PLUGIN", SECRET));

    let file = TemporaryFile::new("secret", &format!("{SECRET}\r\n"));
    let (config, source) = options(&["--bootstrap-secret-file", file.path()])
        .into_config(None)
        .unwrap();
    assert!(matches!(source, SecretSource::File(_)));
    assert!(config.admission.admits("CONNECT_PLUGIN", SECRET));
}

#[test]
fn an_unusable_secret_is_refused_by_origin_and_never_shown() {
    let empty = TemporaryFile::new("empty", "\n");
    let large = TemporaryFile::new("large", &"x".repeat(5000));
    for (arguments, environment, message) in [
        (
            vec![],
            Some("s3cr3t"),
            "PLUGIN_HOST_BOOTSTRAP_SECRET must have 16 to 1024 characters",
        ),
        (
            vec!["--bootstrap-secret-file", empty.path()],
            None,
            "the bootstrap secret file must have 16 to 1024 characters",
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
fn a_secret_that_others_can_read_or_change_is_exposed() {
    use std::os::unix::fs::PermissionsExt;

    let file = TemporaryFile::new("modes", SECRET);
    for (mode, exposed) in [
        (0o600, false),
        (0o400, false),
        (0o700, false),
        (0o640, true),
        (0o604, true),
        (0o620, true),
        (0o602, true),
    ] {
        fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
        let metadata = fs::metadata(&file.0).unwrap();
        assert_eq!(secret_file::is_exposed(&metadata), exposed, "{mode:o}");
    }
}

#[test]
fn the_public_cookie_admits_only_by_that_flag() {
    let public = crate::host::admission::PUBLIC_COOKIE;
    assert!(options(&[]).into_config(Some(public.to_owned())).is_err());
    let (config, _) = options(&["--open-admission"]).into_config(None).unwrap();
    assert!(config.admission.is_open() && config.admission.admits("CONNECT_PLUGIN", public));
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
    ] {
        let error =
            Options::try_parse_from([&["plugin-host"], bad.as_slice()].concat()).unwrap_err();
        assert!(error.to_string().contains(bad[0]), "{error}");
    }
}

#[test]
fn quotas_are_kept_where_it_is_said() {
    let redis = |arguments: &[&str]| options(arguments).into_config(None).unwrap().0.redis;
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
    let mut by_environment = options(&[]);
    by_environment.redis.environment = Some(password.parse().unwrap());
    assert!(!format!("{by_environment:?}").contains("s3cr3t"));
    let (config, _) = by_environment.into_config(None).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert_eq!(config.redis.unwrap().url.expose(), password);
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
