//! The guard on bodies, in front of axum and tonic, over real sockets and in process.

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::decompression::RequestDecompressionLayer;
use tower_plugin_core::{Rejection, ResponseBody};
use tower_plugin_validate::body::{
    BodyGuardLayer, BodyLimit, BodyLimits, BodyRefused, GuardedBody,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// A body of these frames.
fn frames(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Body {
    let frames: Vec<_> = frames.into_iter().map(Ok::<_, Infallible>).collect();
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

fn data(bytes: impl Into<Vec<u8>>) -> Frame<Bytes> {
    Frame::data(Bytes::from(bytes.into()))
}

fn prefix(flags: u8, length: u32) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend(length.to_be_bytes());
    out
}

fn message(flags: u8, bytes: &[u8]) -> Vec<u8> {
    [prefix(flags, bytes.len() as u32), bytes.to_vec()].concat()
}

fn trailers(count: usize, value: &str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    for index in 0..count {
        let name = http::HeaderName::try_from(format!("x-{index}")).unwrap();
        trailers.insert(name, value.parse().unwrap());
    }
    Frame::trailers(trailers)
}

fn limits() -> BodyLimits {
    let limits = BodyLimits::http()
        .to_builder()
        .body_bytes(10)
        .message_bytes(4)
        .messages(2);
    limits
        .stream_bytes(24)
        .trailer_fields(2)
        .trailer_bytes(100)
        .build()
        .unwrap()
}

/// What is told of a request by a service that reads all of it: the status and the reason, and how many bytes came in.
async fn read(content_type: &str, body: Body) -> (u16, Option<&'static str>, usize) {
    let came_in = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came_in);
    let reader = service_fn(move |request: Request<GuardedBody<Body>>| {
        let counter = Arc::clone(&counter);
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                if let Some(data) = frame?.data_ref() {
                    counter.fetch_add(data.len(), SeqCst);
                }
            }
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }
    });
    let mut request = Request::new(body);
    if !content_type.is_empty() {
        let value = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value);
    }
    // The service fails if its body does, and the caller is told of the body.
    let response = BodyGuardLayer::new(limits())
        .layer(reader)
        .oneshot(request)
        .await
        .unwrap();
    let reason = response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::reason);
    (response.status().as_u16(), reason, came_in.load(SeqCst))
}

#[tokio::test]
async fn each_limit_is_kept_to_the_letter_and_nothing_beyond_it_comes_in() {
    struct Case {
        name: &'static str,
        content_type: &'static str,
        body: Body,
        /// Status (of streams, 200), reason, bytes that came in.
        expected: (u16, Option<&'static str>, usize),
    }
    let grpc = "application/grpc";
    let connect = "application/connect+json";
    let cases = [
        Case {
            name: "as long as it may be",
            content_type: "",
            body: frames([data("12345"), data("67890"), trailers(2, "a")]),
            expected: (200, None, 10),
        },
        Case {
            name: "one byte more, in a frame of its own",
            content_type: "",
            body: frames([data("12345"), data("67890"), data("!")]),
            expected: (413, Some("BODY_SIZE"), 10),
        },
        Case {
            name: "announced",
            content_type: "application/json",
            body: Body::from("12345678901"),
            expected: (413, Some("BODY_SIZE"), 0),
        },
        Case {
            name: "too many trailers",
            content_type: "",
            body: frames([data("1"), trailers(3, "a")]),
            expected: (431, Some("TRAILER"), 1),
        },
        Case {
            name: "trailers too large",
            content_type: "",
            body: frames([data("1"), trailers(2, &"a".repeat(20))]),
            expected: (431, Some("TRAILER"), 1),
        },
        Case {
            name: "messages as long and many as they may be",
            content_type: "application/grpc-web",
            body: frames([data(message(0, b"four")), data(message(1, b"more"))]),
            expected: (200, None, 18),
        },
        Case {
            name: "a stream that announces as much as a stream may have",
            content_type: "application/grpc-web",
            body: Body::from([message(0, b"four"), message(1, b"more")].concat()),
            expected: (200, None, 18),
        },
        Case {
            name: "a stream that announces more",
            content_type: "application/grpc-web",
            body: Body::from(message(0, &[0; 20])),
            expected: (200, Some("BODY_SIZE"), 0),
        },
        Case {
            name: "gRPC-Web's trailers are no message, and have a length",
            content_type: "application/grpc-web+proto",
            body: frames([
                data(message(0, b"four")),
                data(message(1, b"more")),
                data(message(128, b"a")),
            ]),
            expected: (200, None, 24),
        },
        Case {
            name: "a stream too long",
            content_type: "application/grpc-web+proto",
            body: frames([
                data(message(0, b"four")),
                data(message(1, b"more")),
                data(message(128, b"ab")),
            ]),
            expected: (200, Some("BODY_SIZE"), 18),
        },
        Case {
            name: "the length before the message",
            content_type: connect,
            body: frames([data(message(0, b"four")), data(prefix(0, 5)), data("never")]),
            expected: (200, Some("MESSAGE_SIZE"), 9),
        },
        Case {
            name: "a text form hides its messages",
            content_type: "application/grpc-web-text",
            body: frames([data("12345678901")]),
            expected: (200, Some("BODY_SIZE"), 0),
        },
    ];
    for case in cases {
        assert_eq!(
            read(case.content_type, case.body).await,
            case.expected,
            "{}",
            case.name
        );
    }
    // A prefix that is cut in two; and messages that are small, and too many.
    let cut_in_two = [
        data(prefix(0, 5)[..3].to_vec()),
        data(prefix(0, 5)[3..].to_vec()),
        data("never"),
    ];
    assert_eq!(
        read(grpc, frames(cut_in_two)).await,
        (200, Some("MESSAGE_SIZE"), 3)
    );
    let third = [
        data(message(0, b"")),
        data(message(0, b"")),
        data(message(0, b"")),
    ];
    assert_eq!(
        read(grpc, frames(third)).await,
        (200, Some("MESSAGE_COUNT"), 10)
    );
    // A flag that no protocol has makes a message nothing else.
    let third = [4, 0, 64].map(|flags| data(message(flags, b"")));
    assert_eq!(
        read(connect, frames(third)).await,
        (200, Some("MESSAGE_COUNT"), 10)
    );
}

#[tokio::test]
async fn a_body_that_is_in_order_is_what_it_was() {
    let look = service_fn(|request: Request<GuardedBody<Body>>| async {
        let body = request.into_body();
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(!body.is_end_stream());
        let collected = body.collect().await.unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(collected.to_bytes())))
    });
    let guarded = BodyGuardLayer::new(limits()).layer(look);
    let response = guarded
        .oneshot(Request::new(Body::from("four")))
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "four"
    );

    let look = service_fn(|request: Request<GuardedBody<Empty<Bytes>>>| async {
        assert!(request.body().is_end_stream());
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let guarded = BodyGuardLayer::new(limits()).layer(look);
    guarded.oneshot(Request::new(Empty::new())).await.unwrap();
}

#[tokio::test]
async fn a_refused_body_ends_and_says_why() {
    let look = service_fn(|request: Request<GuardedBody<Body>>| async {
        let mut body = request.into_body();
        let error = body.frame().await.unwrap().unwrap_err();
        let refused = error.downcast_ref::<BodyRefused>().unwrap();
        assert_eq!(refused.limit(), BodyLimit::BodyBytes);
        // What tonic looks for.
        let status = refused
            .source()
            .unwrap()
            .downcast_ref::<tonic::Status>()
            .unwrap();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(body.frame().await.is_none());
        assert!(body.is_end_stream());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let guarded = BodyGuardLayer::new(limits()).layer(look);
    let body = frames([data("12345678901"), data("more")]);
    assert_eq!(
        guarded.oneshot(Request::new(body)).await.unwrap().status(),
        413
    );
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_body_stands() {
    let ignore = service_fn(|_: Request<GuardedBody<Body>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("unread")))
    });
    let guarded = BodyGuardLayer::new(limits()).layer(ignore);
    let body = frames([data("12345678901")]);
    let response: Response<ResponseBody<_>> = guarded.oneshot(Request::new(body)).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn unreasonable_limits_are_errors_that_name_the_field() {
    let grpc = BodyLimits::grpc().to_builder();
    let cases = [
        (
            grpc.body_bytes(0),
            "body_bytes must be between 1 and 1099511627776",
        ),
        (
            grpc.message_bytes(1 << 32),
            "message_bytes must be between 1 and 4294967295",
        ),
        (
            grpc.trailer_bytes(63),
            "trailer_bytes must be between 64 and 1048576",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
    assert!(grpc.any_body_bytes().build().is_ok());
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn axums_own_extractors_answer_as_the_guard_says() {
    let app = Router::new()
        .route("/", post(async |body: Bytes| body.len().to_string()))
        .layer(BodyGuardLayer::new(limits()));
    let address = serve(app).await;
    // Without the guard's word axum would answer 400.
    let chunks = frames([data("12345"), data("67890"), data("!")]);
    let request = Request::post(format!("http://{address}/"))
        .body(chunks)
        .unwrap();
    let response = client().request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn what_is_announced_is_refused_before_it_is_asked_for() {
    let app = Router::new()
        .route("/", post(async |body: Bytes| body.len().to_string()))
        .layer(BodyGuardLayer::new(limits()));
    let address = serve(app).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413", "and not 100");
}

#[tokio::test]
async fn inside_a_decompressing_layer_it_bounds_what_a_bomb_unfolds_to() {
    use std::io::Write;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 1 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 2000);

    let bytes = |bytes| {
        BodyLimits::http()
            .to_builder()
            .body_bytes(bytes)
            .build()
            .unwrap()
    };
    let app = |outside: u64, inside: u64| {
        let guards = ServiceBuilder::new()
            .layer(BodyGuardLayer::new(bytes(outside)))
            .layer(RequestDecompressionLayer::new())
            .map_request(|request: Request<_>| request.map(Body::new))
            .layer(BodyGuardLayer::new(bytes(inside)));
        Router::new()
            .route("/", post(async |body: Bytes| body.len().to_string()))
            .layer(guards)
    };
    for (outside, inside, expected) in [
        (2000, 1 << 20, 200),
        (2000, 1 << 19, 413),
        (100, 1 << 20, 413),
    ] {
        let address = serve(app(outside, inside)).await;
        let request = Request::post(format!("http://{address}/"))
            .header("content-encoding", HeaderValue::from_static("gzip"));
        let response = client().request(request.body(Body::from(bomb.clone())).unwrap());
        assert_eq!(
            response.await.unwrap().status(),
            expected,
            "{outside} {inside}"
        );
    }
}
