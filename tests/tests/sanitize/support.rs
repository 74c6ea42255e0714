//! A service with an answer of one's choice behind the layer, and the log as it was written.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_validate::SanitizeErrorsLayer;

/// What the words of every error here hold, and no caller may see.
pub(crate) const SECRET: &str = "s3cr3t-/var/lib/app.db";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
    pub(crate) log: String,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reference under which the caller was told and the error was logged.
    pub(crate) fn reference(&self) -> String {
        let (_, rest) = self.log.split_once("reference=").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// Everything that left the server.
    pub(crate) fn everything(&self) -> String {
        format!("{:?} {:?} {}", self.headers, self.trailers, self.text())
    }
}

/// Sends a request with these headers to a service that gives this response.
pub(crate) async fn ask(
    layer: SanitizeErrorsLayer,
    request: &[(&str, &str)],
    response: Response<Body>,
) -> Answer {
    let mut builder = Request::post("/");
    for (name, value) in request {
        builder = builder.header(*name, *value);
    }
    send(layer, builder.body(Body::empty()).unwrap(), response).await
}

pub(crate) async fn send(
    layer: SanitizeErrorsLayer,
    request: Request<Body>,
    response: Response<Body>,
) -> Answer {
    let (log, _guard) = log();
    let response = Mutex::new(Some(response));
    let service = service_fn(move |_: Request<Body>| {
        let response = response.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: collected.to_bytes(),
        trailers,
        log: log.text(),
    }
}

pub(crate) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

/// A body that comes in these chunks and trailers.
pub(crate) fn body(chunks: &[&[u8]], trailers: &[(&'static str, &str)]) -> Body {
    let mut frames: Vec<_> = chunks
        .iter()
        .map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    if !trailers.is_empty() {
        let trailers = trailers.iter().map(|&(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        frames.push(Ok(Frame::trailers(trailers.collect())));
    }
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

pub(crate) fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend((message.len() as u32).to_be_bytes());
    out.extend(message);
    out
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What this thread logs, at any level, until the guard is dropped.
pub(crate) fn log() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}
