//! What becomes of a request body that nobody has read.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::guard::BODY_TIMEOUT;

/// Takes in a small body that was answered unread, before the answer goes out; goes outside of
/// everything.
///
/// On HTTP/2 such an answer comes with a reset of the stream, which its client is allowed to take for
/// an answer (RFC 9113, section 8.1) and some do not: curl reports error 92 and shows nothing. On
/// HTTP/1.1 the connection would have to be closed. A large body, or one of unknown length, is not
/// worth it.
pub(super) async fn take_in_unread(request: Request, next: Next) -> Response {
    take_in(SMALL, TIMEOUT, request, next).await
}

/// The same of a larger body, which its reader has refused for its size; goes directly outside of that.
///
/// A client that is still sending reads no answer and sees a broken connection instead: what is only somewhat too
/// large is taken in and dropped.
pub(super) async fn take_in_too_large(request: Request, next: Next) -> Response {
    take_in(TOO_LARGE, BODY_TIMEOUT, request, next).await
}

async fn take_in(most: u64, within: Duration, request: Request, next: Next) -> Response {
    let is_taken_in = request
        .body()
        .size_hint()
        .exact()
        .is_some_and(|length| (1..=most).contains(&length));
    // To read it is to ask for it, where the client waits to be asked (100-continue).
    if !is_taken_in || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let (back, mut unread) = oneshot::channel();
    let response = next
        .run(request.map(|body| {
            Body::new(Lent {
                body: Some(body),
                back: Some(back),
            })
        }))
        .await;
    if let Ok(body) = unread.try_recv() {
        discard(body, within).await;
    }
    response
}

async fn discard(mut body: Body, within: Duration) {
    // It is no longer than it said: its length was read from it.
    let _gave_up = tokio::time::timeout(within, async {
        while let Some(Ok(_)) = body.frame().await {}
    })
    .await;
}

/// A body that is given back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (false, Some(body), Some(back)) =
            (self.is_end_stream(), self.body.take(), self.back.take())
        {
            // Refused where the answer is out already.
            let _too_late = back.send(body);
        }
    }
}

const SMALL: u64 = 64 * 1024;
const TOO_LARGE: u64 = 4 * 1024 * 1024;
// Whoever takes longer gets the answer all the same.
const TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };

    use axum::{Router, middleware::from_fn, routing::post};
    use http::StatusCode;
    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;

    /// Bytes that count themselves when they are read.
    struct Counted {
        left: u64,
        is_declared: bool,
        stalls: bool,
        read: Arc<AtomicU64>,
    }

    impl HttpBody for Counted {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            if self.stalls {
                return Poll::Pending;
            }
            let length = self.left.min(1000);
            self.left -= length;
            self.read.fetch_add(length, SeqCst);
            let chunk = vec![0; usize::try_from(length).unwrap()];
            Poll::Ready((length > 0).then(|| Ok(Frame::data(chunk.into()))))
        }

        fn size_hint(&self) -> SizeHint {
            if self.is_declared {
                SizeHint::with_exact(self.left)
            } else {
                SizeHint::default()
            }
        }
    }

    async fn read_of(length: u64, is_declared: bool, header: &'static str, path: &str) -> u64 {
        let read = Arc::new(AtomicU64::new(0));
        let body = Counted {
            left: length,
            is_declared,
            stalls: false,
            read: Arc::clone(&read),
        };
        let request = http::Request::post(path)
            .header(header, "100-continue")
            .body(Body::new(body))
            .unwrap();
        send(request).await;
        read.load(SeqCst)
    }

    async fn send(request: Request) {
        let app = Router::new()
            .route("/refuse", post(async || StatusCode::UNAUTHORIZED))
            .route("/read", post(async |body: Bytes| body.len().to_string()))
            .layer(from_fn(take_in_unread));
        app.oneshot(request).await.unwrap();
    }

    #[tokio::test]
    async fn a_small_declared_body_is_taken_in_and_no_other_is() {
        for (length, is_declared, header, expected) in [
            (1, true, "x-none", 1),
            (SMALL, true, "x-none", SMALL),
            (SMALL + 1, true, "x-none", 0),
            (1, false, "x-none", 0),
            (1, true, "expect", 0),
        ] {
            let read = read_of(length, is_declared, header, "/refuse").await;
            assert_eq!(read, expected, "{length} {is_declared} {header}");
        }
        assert_eq!(read_of(2500, true, "x-none", "/read").await, 2500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let body = Counted {
            left: 10,
            is_declared: true,
            stalls: true,
            read: Arc::default(),
        };
        let begin = Instant::now();
        send(
            http::Request::post("/refuse")
                .body(Body::new(body))
                .unwrap(),
        )
        .await;
        assert_eq!(begin.elapsed(), TIMEOUT);
    }
}
