//! Hostile requests from `corpus/requests.json`, sent as octets to real HTTP/1.1 and HTTP/2 servers.
//!
//! Each has the verdict it must get: for every request the server took out of the octets, in order,
//! the reason it was refused for, or `accept`. None at all means that the server's own parser
//! refused it. Nothing that was refused reaches the handler, and of a body that was, it never sees the end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower::{Layer, ServiceExt, make::Shared, service_fn};
use tower_plugin_validate::{
    BodyGuardLayer, BodyLimits, Rejection, RuleSet, ValidateLayer,
    body::{BodyRefused, GuardedBody},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    protocol: String,
    rules: String,
    /// HTTP/1.1: characters are octets; `${text*count}` stands for so many of the text.
    #[serde(default)]
    raw: String,
    /// HTTP/2: one request's fields, pseudo-header fields included.
    #[serde(default)]
    fields: Vec<(String, String)>,
    /// HTTP/2: what its body is, and what follows it.
    #[serde(default)]
    body: String,
    #[serde(default)]
    trailers: Vec<(String, String)>,
    expect: Vec<String>,
    /// What an accepted path is.
    path: Option<String>,
}

#[tokio::test]
async fn every_request_of_the_corpus_gets_its_verdict() {
    let corpus = include_str!("../corpus/requests.json");
    let cases: Vec<Case> = serde_json::from_str(corpus).unwrap();
    assert!(cases.len() > 150, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let server = Server::start(rules(&case.rules), limits(&case.rules)).await;
        let octets = match case.protocol.as_str() {
            "h1" => expand(&case.raw),
            "h2" => h2::request(
                &expanded(&case.fields),
                &expand(&case.body),
                &expanded(&case.trailers),
            ),
            other => panic!("{other}"),
        };
        server.send(&octets, case.protocol == "h2").await;
        let seen = server.seen();
        if seen.verdicts != case.expect {
            wrong.push(format!(
                "{}: expected {:?}, {:?}",
                case.name, case.expect, seen.verdicts
            ));
        }
        let accepted = seen
            .verdicts
            .iter()
            .filter(|verdict| *verdict == "accept")
            .count();
        if seen.handled.len() != accepted {
            wrong.push(format!("{}: the handler saw {:?}", case.name, seen.handled));
        }
        if case.path.is_some() && case.path.as_ref() != seen.handled.first() {
            wrong.push(format!("{}: the path was {:?}", case.name, seen.handled));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn rules(name: &str) -> RuleSet {
    match name {
        "grpc" => RuleSet::grpc(),
        "http" => RuleSet::http(),
        "plugin" => RuleSet::plugin(),
        other => panic!("{other}"),
    }
}

/// What may be in a body. gRPC may send few messages here: that there may be any number is its preset.
fn limits(name: &str) -> BodyLimits {
    match name {
        "http" => BodyLimits::http(),
        _ => BodyLimits::grpc()
            .to_builder()
            .messages(3)
            .stream_bytes(40_000)
            .build()
            .unwrap(),
    }
}

fn expanded(fields: &[(String, String)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let expanded = fields.iter().map(|(n, v)| (expand(n), expand(v)));
    expanded.collect()
}

/// Octets, with `${text*count}` written out.
fn expand(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    let latin =
        |text: &str| -> Vec<u8> { text.chars().map(|c| u8::try_from(c).unwrap()).collect() };
    while let Some((before, after)) = rest.split_once("${") {
        let (template, end) = after.split_once('}').unwrap();
        let (unit, count) = template.rsplit_once('*').unwrap();
        octets.extend(latin(before));
        octets.extend(latin(unit).repeat(count.parse().unwrap()));
        rest = end;
    }
    octets.extend(latin(rest));
    octets
}

/// What a server has seen of its requests.
#[derive(Clone, Default, Debug)]
struct Seen {
    verdicts: Vec<String>,
    handled: Vec<String>,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    async fn start(rules: RuleSet, limits: BodyLimits) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let note = |with: &Arc<Mutex<Seen>>| {
            let seen = Arc::clone(with);
            move |change: &dyn Fn(&mut Seen)| {
                change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
            }
        };
        let (handled, verdict) = (note(&seen), note(&seen));
        let handled = Arc::new(handled);
        let handler = service_fn(move |request: Request<GuardedBody<Body>>| {
            let handled = Arc::clone(&handled);
            async move {
                let path = request.uri().path().to_owned();
                let read = request.into_body().collect().await;
                // A body that breaks off for another reason is the server's own to judge.
                if !read.is_err_and(|error| error.is::<BodyRefused>()) {
                    handled(&|seen| seen.handled.push(path.clone()));
                }
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let guarded = BodyGuardLayer::new(limits).layer(handler);
        let checked = ValidateLayer::new(rules).layer(guarded);
        let outermost = checked.map_response(move |response| {
            let rejection = response.extensions().get::<Rejection>();
            let reason = rejection.map_or("accept", Rejection::reason);
            verdict(&|seen| seen.verdicts.push(reason.to_owned()));
            response.map(Body::new)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, Shared::new(outermost)).into_future());
        Self { address, seen }
    }

    /// Sends the octets and reads until the server has nothing more to say.
    async fn send(&self, octets: &[u8], h2: bool) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has refused already may have closed.
        let sent = stream.write_all(octets).await;
        if sent.is_ok() && !h2 {
            let _ = stream.shutdown().await;
        }
        let mut answer = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                answer.extend_from_slice(&buffer[..read]);
                if h2 && h2::is_answered(&answer) {
                    break;
                }
            }
        };
        let done = timeout(Duration::from_secs(10), reading).await;
        assert!(done.is_ok(), "no end after {} octets", answer.len());
    }

    fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// As little of HTTP/2 as it takes to say what no client library would.
mod h2 {
    /// Preface, settings, and one request: its fields, its body, which must fit into the window that every
    /// connection has, and its trailers.
    pub(crate) fn request(fields: &[Field], body: &[u8], trailers: &[Field]) -> Vec<u8> {
        let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut octets, SETTINGS, 0, 0, &[]);
        headers(&mut octets, fields, body.is_empty() && trailers.is_empty());
        let mut chunks = body.chunks(16_000).peekable();
        while let Some(chunk) = chunks.next() {
            let is_last = chunks.peek().is_none() && trailers.is_empty();
            frame(&mut octets, DATA, u8::from(is_last), 1, chunk);
        }
        if !trailers.is_empty() {
            headers(&mut octets, trailers, true);
        }
        octets
    }

    /// Literal fields.
    fn headers(octets: &mut Vec<u8>, fields: &[Field], is_last: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            string(&mut block, name);
            string(&mut block, value);
        }
        // Only so much fits into a frame; the rest is continued.
        let mut chunks = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(chunk) = chunks.next() {
            let end_headers = if chunks.peek().is_none() { 4 } else { 0 };
            let end_stream = u8::from(kind == HEADERS && is_last);
            frame(octets, kind, end_headers | end_stream, 1, chunk);
            kind = CONTINUATION;
        }
    }

    type Field = (Vec<u8>, Vec<u8>);

    /// Whether stream 1 has ended, or the connection.
    pub(crate) fn is_answered(mut octets: &[u8]) -> bool {
        while let [a, b, c, kind, flags, s0, s1, s2, s3, rest @ ..] = octets {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let stream = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
            let Some(after) = rest.get(length..) else {
                return false;
            };
            let ends = matches!(*kind, DATA | HEADERS) && flags & 1 == 1 || *kind == RST_STREAM;
            if stream == 1 && ends || *kind == GOAWAY {
                return true;
            }
            octets = after;
        }
        false
    }

    fn frame(octets: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        octets.extend_from_slice(&length[1..]);
        octets.extend([kind, flags]);
        octets.extend_from_slice(&stream.to_be_bytes());
        octets.extend_from_slice(payload);
    }

    /// RFC 7541, sections 5.1 and 5.2, without Huffman codes.
    fn string(block: &mut Vec<u8>, text: &[u8]) {
        match text.len() {
            short @ 0..127 => block.push(short as u8),
            long => {
                block.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    block.push(rest as u8 | 128);
                    rest >>= 7;
                }
                block.push(rest as u8);
            }
        }
        block.extend_from_slice(text);
    }

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const CONTINUATION: u8 = 9;
}
