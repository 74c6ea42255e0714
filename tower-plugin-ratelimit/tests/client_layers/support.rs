use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::time::Instant;
use tower::Service;
use tower_plugin_ratelimit::{Clock, ManualClock};

pub(crate) type Call = Request<Full<Bytes>>;

/// Tokio's time, which stands still in tests until everybody waits for it; the wall clock goes along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn millis(&self) -> u128 {
        self.elapsed().as_millis()
    }
}

impl Clock for TokioClock {
    fn monotonic_nanos(&self) -> u64 {
        3_600_000_000_000 + self.elapsed().as_nanos() as u64
    }

    fn wall(&self) -> SystemTime {
        ManualClock::new().wall() + self.elapsed()
    }
}

/// A server that answers as told, the last answer for ever after, and writes down when it was called.
#[derive(Clone)]
pub(crate) struct Server {
    clock: TokioClock,
    script: Arc<Mutex<Script>>,
}

struct Script {
    answers: VecDeque<Answer>,
    calls: Vec<u128>,
    names: Vec<String>,
}

/// A status and headers, or an error.
pub(crate) type Answer = Result<(u16, Vec<(&'static str, String)>), &'static str>;

pub(crate) fn status(status: u16) -> Answer {
    Ok((status, Vec::new()))
}

pub(crate) fn with(status: u16, name: &'static str, value: impl Into<Told>) -> Answer {
    Ok((status, vec![(name, value.into().0)]))
}

/// The value of a header.
pub(crate) struct Told(String);

impl From<&str> for Told {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<u32> for Told {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

/// A gRPC refusal, which is all head.
pub(crate) fn grpc(code: u8) -> Answer {
    with(200, "grpc-status", u32::from(code))
}

impl Server {
    pub(crate) fn new(clock: TokioClock, answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script {
            answers: answers.into_iter().collect(),
            calls: Vec::new(),
            names: Vec::new(),
        };
        Self {
            clock,
            script: Arc::new(Mutex::new(script)),
        }
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.script.lock().unwrap().calls.len()
    }

    /// When it was called, in milliseconds.
    pub(crate) fn times(&self) -> Vec<u128> {
        self.script.lock().unwrap().calls.clone()
    }

    /// The paths it was called with.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.script.lock().unwrap().names.clone()
    }
}

impl Service<Call> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Call) -> Self::Future {
        let mut script = self.script.lock().unwrap();
        script.calls.push(self.clock.millis());
        script.names.push(request.uri().path().to_owned());
        let answer = match script.answers.len() {
            0 => status(200),
            1 => script.answers[0].clone(),
            _ => script.answers.pop_front().unwrap(),
        };
        std::future::ready(answer.map(|(status, headers)| {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Full::from("answered")).unwrap()
        }))
    }
}

pub(crate) fn get(path: &str) -> Call {
    Request::get(path).body(Full::from("asked")).unwrap()
}

pub(crate) fn post(path: &str) -> Call {
    let mut request = get(path);
    *request.method_mut() = Method::POST;
    request
}

/// A gRPC response that is not over with its head.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    frames: VecDeque<Frame<Bytes>>,
    /// Never ends.
    hangs: bool,
}

impl Stream {
    pub(crate) fn hanging() -> Self {
        Self {
            frames: VecDeque::new(),
            hangs: true,
        }
    }

    pub(crate) fn message(mut self) -> Self {
        self.frames
            .push_back(Frame::data(Bytes::from_static(b"message")));
        self
    }

    pub(crate) fn trailers(mut self, code: u8) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
        self.frames.push_back(Frame::trailers(trailers));
        self
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            frame => Poll::Ready(frame.map(Ok)),
        }
    }
}
