//! How the program ends while somebody keeps it: within bounds, and with what was recorded on disk.

use std::{
    convert::Infallible,
    fs,
    process::Output,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::Command,
    sync::Notify,
    task::{self, JoinHandle},
    time::{Instant, timeout},
};

use crate::{
    process::{Program, WAIT, close, paste},
    services::serve,
    support::{Host, eventually},
};

/// A program with a call in hand that never ends: both sides of it are here.
struct Held {
    program: Program,
    caller: JoinHandle<Output>,
    folder: TempDir,
}

impl Held {
    async fn by_a_call(drain: &str) -> Self {
        let begun = Arc::new(Notify::new());
        let begin = Arc::clone(&begun);
        let endless = Router::new().fallback(async move || {
            begin.notify_one();
            let nothing = stream::pending::<Result<Bytes, Infallible>>();
            Body::from_stream(nothing)
        });
        let provider = format!("curl=http://{}/", serve(endless).await);
        let folder = TempDir::new().unwrap();
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("keys"), format!("1 {}\n", "7a".repeat(32))).unwrap();
        close(path("keys").as_ref());
        let arguments = [
            "--provider",
            &provider,
            "--drain",
            drain,
            "--audit-file",
            &path("audit"),
            "--audit-key-file",
            &path("keys"),
        ];
        let program = Program::start(&arguments, None).await;
        let call = r#"curl -sS -N -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data x "$URL/services/logger/$RUNTIME_ID/Log""#;
        let script = format!("{}\nURL={}\n{call}\n", program.script, program.url());
        let caller = tokio::spawn(async move { paste(&script, None).await });
        timeout(WAIT, begun.notified()).await.unwrap();
        Self {
            program,
            caller,
            folder,
        }
    }

    /// Ends it by this signal, and gives how long that has taken.
    async fn end(self, signal: &str) -> (Duration, String) {
        let begin = Instant::now();
        let (status, log) = self.program.signal(signal).await;
        let took = begin.elapsed();
        assert_eq!(status.code(), Some(0), "{log}");
        let output = timeout(WAIT, self.caller).await.unwrap().unwrap();
        assert!(!output.status.success(), "the call has come to an end");

        assert!(!log.contains("not all that was recorded"), "{log}");
        let verified = Command::new(env!("CARGO_BIN_EXE_audit"))
            .arg("verify")
            .arg(self.folder.path().join("audit"))
            .arg("--keys")
            .arg(self.folder.path().join("keys"))
            .output()
            .await
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
        let audit = fs::read_to_string(self.folder.path().join("audit.00000001.jsonl")).unwrap();
        assert!(audit.contains("authn_token_created"), "{audit}");
        (took, log)
    }
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut_off_when_the_drain_is_over() {
    for signal in ["-TERM", "-INT"] {
        let (took, log) = Held::by_a_call("1s").await.end(signal).await;
        assert!(took >= Duration::from_secs(1), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert!(log.contains("gave up on what is still in hand"), "{log}");
    }
}

#[tokio::test]
async fn a_handler_that_blocks_is_given_up_when_the_drain_is_over() {
    let begun = Arc::new(Notify::new());
    let begin = Arc::clone(&begun);
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let block = async move || {
        let blocking = task::spawn_blocking(move || held.lock().unwrap().recv().is_ok());
        begin.notify_one();
        blocking.await.unwrap().to_string()
    };
    let own = Router::new().route("/block", get(block));
    let host = Host::with_routes(&["--drain", "1s"], own).await;
    let (client, url) = (host.client(), host.url("/block"));
    let caller = tokio::spawn(async move { client.get(url.parse().unwrap()).await });
    timeout(WAIT, begun.notified()).await.unwrap();

    let begin = Instant::now();
    host.stop().await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let answer = timeout(WAIT, caller).await.unwrap().unwrap();
    assert!(answer.is_err(), "{answer:?}");
    // The runtime of a test waits for it, unlike that of the program.
    drop(release);
}

#[tokio::test]
async fn who_is_told_twice_to_end_does_not_wait_for_the_drain() {
    let held = Held::by_a_call("1h").await;
    held.program.send("-TERM").await;
    let address = held.program.url().replace("http://", "");
    eventually("nobody is let in any more", || async {
        TcpStream::connect(&address).await.is_err()
    })
    .await;
    let (took, log) = held.end("-TERM").await;
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(log.contains("told again to end"), "{log}");
}
