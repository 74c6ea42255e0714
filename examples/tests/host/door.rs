//! Who is let in: by a manifest, by a file that says it all, and who is kept out.

use std::{fs, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;
use tower_plugin_auth::{
    GrantRequest,
    broker::RequestError,
    store::GrantStore,
    token::{SelfId, TokenId},
};
use tower_plugin_core::Principal;

use crate::{
    process::close,
    support::{Admin, BROKER, DISCOVER, HANDSHAKE, Host, Plugin, REGISTER, eventually, handshake},
};

/// A directory with a manifest in it that lists one plugin.
pub(crate) struct Signed {
    folder: TempDir,
    key: String,
    manifest: String,
}

const PROGRAM: &str = "what the store is made of";

impl Signed {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("plugins")).unwrap();
        fs::write(path("plugins/store.so"), PROGRAM).unwrap();
        for arguments in [
            &["keygen", "--key-id", "release", "--output", "key"][..],
            &[
                "generate",
                "--directory",
                "plugins",
                "--author",
                "our-team",
                "--plugin-version",
                "1.0.0",
                "--output",
                "manifest.json",
            ],
            &["sign", "--manifest", "manifest.json", "--key", "key"],
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_manifest"))
                .current_dir(folder.path())
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let public = fs::read_to_string(path("key.pub")).unwrap();
        let (id, key) = public.trim().split_once(' ').unwrap();
        Self {
            key: format!("{id}={key}"),
            manifest: path("manifest.json").to_str().unwrap().to_owned(),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What makes a host keep to it.
    pub(crate) fn arguments(&self) -> [&str; 6] {
        [
            "--manifest",
            &self.manifest,
            "--trusted-key",
            &self.key,
            "--trusted-author",
            "our-team",
        ]
    }

    async fn host(&self) -> Host {
        Host::with(&self.arguments()).await
    }
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn store(changes: Value) -> Value {
    let mut request = handshake(json!({
        "selfId": "store",
        "selfVersion": "1.0.0",
        "clientMetadata": {
            "artifact-sha256": sha256(PROGRAM),
            "artifact-size": PROGRAM.len().to_string(),
        },
    }));
    let Value::Object(changes) = changes else {
        panic!("not an object")
    };
    request.as_object_mut().unwrap().extend(changes);
    request
}

#[tokio::test]
async fn with_a_manifest_only_what_it_lists_is_let_in_and_only_with_the_secret() {
    let signed = Signed::new();
    let host = signed.host().await;
    let answer = host.call(HANDSHAKE, None, store(json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.json()["runtimeToken"]
            .as_str()
            .unwrap()
            .starts_with("tpr_")
    );

    host.call(
        HANDSHAKE,
        None,
        store(json!({ "magicCookieValue": "wrong" })),
    )
    .await
    .refused(400, "invalid_argument");
    for changes in [
        json!({ "selfId": "cache" }),
        json!({ "selfVersion": "1.0.1" }),
        json!({ "clientMetadata": {} }),
        json!({ "clientMetadata": {
            "artifact-sha256": sha256("something else"),
            "artifact-size": PROGRAM.len().to_string(),
        } }),
        // Without a name of its own nobody is listed.
        json!({ "selfId": "" }),
    ] {
        let answer = host.call(HANDSHAKE, None, store(changes)).await;
        // Which it was, is none of its business.
        assert_eq!(
            answer.refused(403, "permission_denied"),
            "admission refused"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_manifest_that_was_changed_or_is_of_somebody_else_starts_no_host() {
    use clap::Parser;
    use tower_plugin_examples::host::{HostState, Options};

    let (signed, other) = (Signed::new(), Signed::new());
    let start = |key: &str| {
        let manifest = signed.path("manifest.json");
        let options = Options::try_parse_from([
            "plugin-host",
            "--manifest",
            &manifest,
            "--trusted-key",
            key,
            "--trusted-author",
            "our-team",
        ]);
        let (config, _) = options.unwrap().into_config(None).unwrap();
        let clock = std::sync::Arc::new(tower_plugin_core::ManualClock::new());
        HostState::new(config, clock).map(drop)
    };
    assert!(start(&signed.key).is_ok());
    let error = start(&other.key).unwrap_err().to_string();
    assert!(error.starts_with("--manifest: "), "{error}");
    let text = fs::read_to_string(signed.path("manifest.json")).unwrap();
    fs::write(signed.path("manifest.json"), text.replace("1.0.0", "1.0.1")).unwrap();
    let error = start(&signed.key).unwrap_err().to_string();
    assert!(error.starts_with("--manifest: "), "{error}");
}

#[tokio::test]
async fn a_check_heeds_the_watermark_and_leaves_it_as_it_is() {
    let signed = Signed::new();
    let (watermark, file) = (signed.path("watermark"), signed.path("admission.toml"));
    let (id, key) = signed.key.split_once('=').unwrap();
    let text = format!(
        "manifest_path = {:?}\nmanifest_watermark_path = {watermark:?}\ntrusted_authors = [\"our-team\"]\n\
         trusted_keys = {{ {id} = {key:?} }}\n",
        signed.manifest
    );
    fs::write(&file, text).unwrap();
    let by_flags = [
        &signed.arguments()[..],
        &["--manifest-watermark", &watermark],
    ]
    .concat();
    let earlier = format!("2000-01-01T00:00:00Z {}\n", "0".repeat(64));
    let later = earlier.replace("2000", "2999");
    for (arguments, secret) in [
        (by_flags, Some(crate::support::SECRET)),
        (vec!["--admission-file", &*file], None),
    ] {
        let mut check = Command::new(env!("CARGO_BIN_EXE_plugin-host"));
        check.arg("--check").args(&arguments);
        match secret {
            Some(secret) => check.env("PLUGIN_HOST_BOOTSTRAP_SECRET", secret),
            None => check.env_remove("PLUGIN_HOST_BOOTSTRAP_SECRET"),
        };
        for (kept, is_good) in [(None, true), (Some(&earlier), true), (Some(&later), false)] {
            match kept {
                Some(kept) => fs::write(&watermark, kept).unwrap(),
                None => assert!(!fs::exists(&watermark).unwrap()),
            }
            let output = check.output().unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.success(), is_good, "{arguments:?}: {errors}");
            assert_eq!(
                fs::read_to_string(&watermark).ok().as_ref(),
                kept,
                "{arguments:?}"
            );
        }
        fs::remove_file(&watermark).unwrap();
    }
}

#[tokio::test]
async fn a_hangup_reads_the_manifest_again() {
    let signed = Signed::new();
    let manifest = signed.path("manifest.json");
    let arguments = [
        "--manifest",
        &manifest,
        "--trusted-key",
        &signed.key,
        "--trusted-author",
        "our-team",
    ];
    let program = crate::process::Program::with(&arguments, &[]).await;
    fs::write(&manifest, "{}").unwrap();
    program.send("-HUP").await;
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the manifest was not read again"), "{log}");
}

#[tokio::test]
async fn a_file_may_say_all_of_admission() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (secret, file) = (path("secret"), path("admission.toml"));
    fs::write(&secret, crate::support::SECRET).unwrap();
    close(secret.as_ref());
    let text = format!(
        "require_manifest = false\nrule = \"secret\"\nbootstrap_secret_file = \"{secret}\"\n"
    );
    fs::write(&file, &text).unwrap();
    let arguments = [
        "--admission-file",
        &file,
        "--allow-register=curl=logger",
        "--allow-call=curl=logger",
    ];
    let program = crate::process::Program::with(&arguments, &[]).await;
    let said = crate::process::paste_with(
        &program.script,
        &[("PLUGIN_HOST_BOOTSTRAP_SECRET", crate::support::SECRET)],
    )
    .await;
    assert!(said.status.success(), "{}", program.script);
    program.signal("-TERM").await;

    fs::write(&file, text.replace("secret_file", "s3cr3t_file")).unwrap();
    let huge = path("huge.toml");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let pipe = path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for (file, fault) in [
        (&file, ""),
        (&huge, "more than 1 MiB"),
        (&pipe, "not a regular file"),
    ] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_plugin-host"))
            .args(["--check", "--admission-file", file])
            .env_remove("PLUGIN_HOST_BOOTSTRAP_SECRET")
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{errors}");
        assert!(
            errors.contains("--admission-file") && errors.contains(fault),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn who_is_in_quarantine_has_nothing_and_does_not_come_back() {
    let host = Host::start().await;
    let admin = Admin::of(&host);
    let (bad, good) = (host.admit("bad").await, host.admit("good").await);
    let again = host.admit("bad").await;
    host.provide(&bad, "kv", "http://10.0.0.1/").await;
    let request = json!({ "capabilityType": "logger" });
    let grant = host.call(BROKER, Some(&bad), request).await.json();
    let grant = grant["grant"].clone();

    // By one of its runtime ids; every run of it is meant.
    let answer = admin
        .send("POST", &format!("/admin/quarantine/{}", bad.id))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({
        "quarantined": { "plugin": "bad" },
        "tokens_revoked": 2,
        "grants_revoked": 1,
    });
    assert_eq!(answer.json(), expected);
    let known = async |plugin| {
        let call = host.call(DISCOVER, Some(plugin), json!({ "serviceType": "x" }));
        call.await.status != 401
    };
    assert!(!known(&bad).await && !known(&again).await && known(&good).await);
    let bearer = format!("Bearer {}", grant["bearerToken"].as_str().unwrap());
    let id = grant["grantId"].as_str().unwrap();
    let path = format!("/capabilities/logger/{id}/capability.logger.v1.Logger/Log");
    let line = r#"{"level":"info","message":"x"}"#;
    host.post(
        &path,
        &[
            ("content-type", "application/json"),
            ("authorization", &bearer),
        ],
        line,
    )
    .await
    .refused(401, "unauthenticated");
    let forgotten = async || {
        let call = host.call(DISCOVER, Some(&good), json!({ "serviceType": "kv" }));
        call.await.status == 404
    };
    eventually("what it has offered is gone", forgotten).await;

    let come = async || {
        host.call(HANDSHAKE, None, handshake(json!({ "selfId": "bad" })))
            .await
    };
    assert_eq!(
        come().await.refused(403, "permission_denied"),
        "admission refused"
    );
    let listed = admin.send("GET", "/admin/quarantine").await.json();
    assert_eq!(listed, json!({ "quarantined": [{ "plugin": "bad" }] }));

    assert_eq!(
        admin.send("DELETE", "/admin/quarantine/bad").await.status,
        200
    );
    assert_eq!(
        admin.send("DELETE", "/admin/quarantine/bad").await.status,
        404
    );
    assert_eq!(
        admin.send("POST", "/admin/quarantine/%2e").await.status,
        400
    );
    assert_eq!(come().await.status, 200);
    assert!(!known(&bad).await, "what was revoked stays revoked");
    let offer = json!({ "serviceType": "x", "version": "1.0.0", "endpointPath": "/x/" });
    assert_eq!(host.call(REGISTER, Some(&good), offer).await.status, 200);
    host.stop().await;
}

/// Whatever has become of its tokens, and whoever is still asking in its name.
#[tokio::test]
async fn who_is_in_quarantine_loses_grants_that_no_token_leads_to_and_is_granted_none() {
    let host = Host::start().await;
    let admin = Admin::of(&host);
    let broker = host.state.broker();
    let (bad, good) = (host.admit("bad").await, host.admit("good").await);
    let wanted = |plugin: &Plugin| {
        let holder = Principal::new("runtime", plugin.id.clone());
        GrantRequest::new(holder, "logger").with_insecure_bearer()
    };
    // Of a run whose token the host has never seen: another copy has issued it, and it is gone.
    let name: SelfId = "bad".parse().unwrap();
    let former = Plugin {
        id: name.runtime_id(TokenId::from_bytes([7; 16])),
        token: String::new(),
    };
    let mut lost = Vec::new();
    for plugin in [&bad, &former] {
        lost.push(broker.request(wanted(plugin)).await.unwrap().token().id());
    }
    let kept = broker.request(wanted(&good)).await.unwrap().token().id();

    let answer = admin.send("POST", "/admin/quarantine/bad").await.json();
    assert_eq!(
        (&answer["tokens_revoked"], &answer["grants_revoked"]),
        (&json!(1), &json!(2))
    );
    for id in lost {
        assert!(broker.store().get(&id).await.unwrap().is_none());
    }
    assert!(broker.store().get(&kept).await.unwrap().is_some());
    for plugin in [&bad, &former] {
        let refused = broker.request(wanted(plugin)).await;
        assert!(matches!(refused, Err(RequestError::Denied)), "{refused:?}");
    }
    assert!(broker.request(wanted(&good)).await.is_ok());
    assert_eq!(
        admin.send("DELETE", "/admin/quarantine/bad").await.status,
        200
    );
    assert!(broker.request(wanted(&bad)).await.is_ok());
    host.stop().await;
}

#[tokio::test]
async fn an_admission_that_finds_no_place_is_told_when_to_come_back() {
    for (arguments, places) in [
        (&[][..], 3),
        (&["--concurrent-admissions", "1"][..], 1),
        (&["--concurrent-admissions", "5"][..], 5),
    ] {
        let host = Host::with(arguments).await;
        let come = async || {
            host.call(HANDSHAKE, None, handshake(json!({ "selfId": "p" })))
                .await
        };
        let mut taken = Vec::new();
        for _ in 0..places {
            assert_eq!(come().await.status, 200, "{arguments:?}");
            taken.push(host.state.admission().enter().unwrap());
        }
        let answer = come().await;
        assert_eq!(
            answer.refused(503, "unavailable"),
            "too many admissions at once"
        );
        assert_eq!(answer.header("retry-after"), "1");
        taken.pop();
        assert_eq!(come().await.status, 200);
        drop(taken);
        host.stop().await;
    }
}
