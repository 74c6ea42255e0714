//! What could be seen, and whether a secret is among it.

use std::{
    error::Error,
    fmt::Debug,
    io,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use tokio::sync::MutexGuard;
use tower_plugin_auth::{SystemRng, token::Rng};

/// What could be seen, and what must not be.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) secrets: Vec<String>,
}

impl Seen {
    /// 32 characters fit for any header.
    pub(crate) fn secret(&mut self) -> String {
        let mut bytes = [0; 32];
        SystemRng.fill(&mut bytes).unwrap();
        let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_";
        let text = bytes.map(|byte| char::from(letters[usize::from(byte) % letters.len()]));
        let text = String::from_iter(text);
        self.secrets.push(text.clone());
        text
    }

    pub(crate) fn show(&mut self, value: &impl Debug) {
        self.text.push_str(&format!("{value:?}\n{value:#?}\n"));
    }

    /// An error as a log might have it, with all its causes.
    pub(crate) fn error(&mut self, error: &(dyn Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.text
                .push_str(&format!("{error} {error:?} {error:#?}\n"));
            cause = error.source();
        }
    }

    pub(crate) async fn response<B>(&mut self, response: Response<B>)
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Debug,
    {
        let (parts, body) = response.into_parts();
        self.show(&parts);
        let rejection = parts.extensions.get::<tower_plugin_auth::Rejection>();
        self.show(&rejection);
        let body = body.collect().await.unwrap();
        self.text
            .push_str(&String::from_utf8_lossy(&body.to_bytes()));
    }

    /// No part of a secret long enough to be of use.
    pub(crate) fn check(&self) {
        for secret in &self.secrets {
            for part in secret.as_bytes().windows(10).step_by(3) {
                let part = std::str::from_utf8(part).unwrap();
                if let Some(at) = self.text.find(part) {
                    let around = self.text.get(at.saturating_sub(200)..).unwrap_or_default();
                    panic!("{part} is seen: {}", &around[..around.len().min(400)]);
                }
            }
        }
    }
}

/// Every line of every crate, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log is the process's: whoever reads it does so alone.
    pub(crate) async fn install() -> (Self, MutexGuard<'static, ()>) {
        static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        });
        let log = LOG.clone();
        let alone = ALONE.lock().await;
        log.take();
        (log, alone)
    }

    pub(crate) fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_secret_that_is_seen_is_found() {
    let mut seen = Seen::default();
    let secret = seen.secret();
    seen.show(&HeaderValue::from_str(&secret).unwrap());
    let found = std::panic::catch_unwind(move || seen.check());
    assert!(found.is_err(), "this test proves nothing");
}
