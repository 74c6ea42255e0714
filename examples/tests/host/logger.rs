//! The capability `logger`, behind a mount point that knows who calls.

use axum::{Extension, Router};
use tower_plugin_core::Principal;
use tower_plugin_examples::host::logger;

use crate::support::Host;

const JSON: (&str, &str) = ("content-type", "application/json");
const LINE: &str = r#"{"level":"info","message":"hello","fields":{"k":"v"}}"#;

async fn host() -> Host {
    let known = logger()
        .unwrap()
        .layer(Extension(Principal::new("runtime", "p-0a")));
    let mounts = Router::new()
        .nest("/capabilities/logger/{grant}", known)
        .nest("/open", logger().unwrap());
    Host::with_routes(&[], mounts).await
}

#[tokio::test]
async fn a_known_caller_writes_a_line() {
    let host = host().await;
    let path = "/capabilities/logger/0a0b/capability.logger.v1.Logger/Log";
    for level in ["debug", "info", "warn", "error"] {
        let line = LINE.replace("info", level);
        let answer = host.post(path, &[JSON], line).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, "{}")
        );
    }
    for (line, field) in [
        (LINE.replace("info", "trace"), "level"),
        (LINE.replace("hello", "a\\nb"), "message"),
        (LINE.replace("\"k\"", "\"no key\""), "fields"),
    ] {
        let message = host
            .post(path, &[JSON, ("connect-protocol-version", "1")], line)
            .await
            .refused(400, "invalid_argument");
        assert!(message.starts_with(field), "{message}");
    }
    host.stop().await;
}

#[tokio::test]
async fn mounted_in_the_open_it_stays_closed() {
    let host = host().await;
    let headers = [JSON, ("connect-protocol-version", "1")];
    host.post("/open/capability.logger.v1.Logger/Log", &headers, LINE)
        .await
        .refused(401, "unauthenticated");
    host.stop().await;
}
