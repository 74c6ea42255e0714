//! The demo, run against the program it is for.

use std::process::Output;

use tokio::{process::Command, time::timeout};

use crate::{
    door::Signed,
    process::{Program, WAIT},
};

const SECRET: &str = "a-secret-of-the-operator";

async fn demo(host: &str, secret: Option<&str>) -> Output {
    demo_with(&["--host", host], secret).await
}

async fn demo_with(arguments: &[&str], secret: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-demo"));
    command
        .args(arguments)
        .env_remove("PLUGIN_HOST_BOOTSTRAP_SECRET")
        .kill_on_drop(true);
    if let Some(secret) = secret {
        command.env("PLUGIN_HOST_BOOTSTRAP_SECRET", secret);
    }
    timeout(WAIT, command.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_plugins_life_goes_as_it_should() {
    for (arguments, call) in [
        (
            &[
                "--provider-network",
                "127.0.0.0/8",
                "--allow-register=demo=demo",
                "--allow-call=demo=demo",
            ][..],
            r#"the provider saw {"authorization":null,"forwarded":"for=_demo-"#,
        ),
        (
            &["--allow-register=*=demo", "--allow-call=*=demo"],
            "not_found: provider endpoint not registered",
        ),
    ] {
        let program = Program::start(arguments, Some(SECRET)).await;
        let output = demo(&program.url(), Some(SECRET)).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        for line in [
            call,
            "HTTP 400, invalid_argument: invalid magic cookie",
            "HTTP 401, unauthenticated: invalid token",
            "HTTP 400, invalid_argument: the path",
            "HTTP 404, not_found: unknown capability",
            "HTTP 403, permission_denied: plugin demo not authorized to register service type payroll",
            "x-plugin-grant-expires-at: ",
            "granted at http://127.0.0.1:",
            "both are taken for a while:",
            "HTTP 429, resource_exhausted",
            "retry-after: ",
            "www-authenticate: Bearer",
            r#""state":"SERVICE_STATE_DEGRADED""#,
            r#""state":"SERVICE_STATE_UNAVAILABLE""#,
            "steps went as they should.",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
        assert!(
            !said.contains(SECRET) && !said.contains("tpr_") && !said.contains("tpg_"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_plugin_in_a_signed_manifest_is_let_in_and_no_other() {
    let signed = Signed::new();
    let allowed = ["--allow-register=store=demo", "--allow-call=store=demo"];
    let arguments = [&signed.arguments()[..], &allowed].concat();
    let program = Program::start(&arguments, Some(SECRET)).await;
    let url = program.url();
    let artifact = signed.path("plugins/store.so");
    let output = demo_with(&["--host", &url, "--artifact", &artifact], Some(SECRET)).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for line in [
        "HTTP 403, permission_denied: admission refused",
        "admission by secret and by manifest lets in",
        "now known as store-",
        "steps went as they should.",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }

    // Who does not say what it is made of, and who is in no manifest.
    let output = demo(&url, Some(SECRET)).await;
    assert!(!output.status.success());
    let another = signed.path("key.pub");
    let output = demo_with(&["--host", &url, "--artifact", &another], Some(SECRET)).await;
    assert!(!output.status.success());
    let none = signed.path("none");
    let output = demo_with(&["--host", &url, "--artifact", &none], Some(SECRET)).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("--artifact"), "{errors}");
    let (_, log) = program.signal("-TERM").await;
    assert_eq!(log.matches("plugin admitted").count(), 1, "{log}");
}

#[tokio::test]
async fn without_a_secret_or_a_host_it_says_so_and_fails() {
    for (host, secret, message) in [
        ("http://127.0.0.1:1", None, "PLUGIN_HOST_BOOTSTRAP_SECRET"),
        ("ftp://127.0.0.1:1", Some(SECRET), "--host must be"),
        ("http://127.0.0.1:1", Some(SECRET), "onnect"),
    ] {
        let output = demo(host, secret).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(errors.contains(message), "{errors}");
        assert!(!errors.contains(SECRET));
    }
}
