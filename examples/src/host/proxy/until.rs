use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::HttpBody};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time;

use crate::host::{HostState, identity::Session};

/// Completes when a call may not go on.
pub(super) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Completes when the caller's token is valid no longer, which is found out at once if it was revoked here
/// and otherwise within [`LOOK`], or when nobody can say whether it is.
pub(super) fn ended(host: &HostState, session: Session) -> Ended {
    let mut revoked = host.revocations.listen();
    Box::pin(async move {
        loop {
            tokio::select! {
                _ = revoked.changed() => {}
                () = time::sleep(LOOK) => {}
            }
            if session.is_live().await != Some(true) {
                return;
            }
        }
    })
}

/// A body that passes until its caller's token ends. Its trailers are held to what the head is held to.
///
/// What it comes from is dropped with the token, and who reads it gets an error.
pub(super) struct Until<B> {
    // Gone when it has ended.
    body: Option<B>,
    ended: Ended,
    prepare: fn(&mut HeaderMap),
}

impl<B> Until<B> {
    pub(super) fn new(body: B, ended: Ended, prepare: fn(&mut HeaderMap)) -> Self {
        Self {
            body: Some(body),
            ended,
            prepare,
        }
    }
}

impl<B> HttpBody for Until<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if this.ended.as_mut().poll(cx).is_ready() {
            this.body = None;
            return Poll::Ready(Some(Err(TokenEnded.into())));
        }
        Pin::new(body).poll_frame(cx).map(|frame| {
            frame.map(|frame| {
                let mut frame = frame.map_err(Into::into)?;
                if let Some(trailers) = frame.trailers_mut() {
                    (this.prepare)(trailers);
                }
                Ok(frame)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// The caller's token is valid no longer.
#[derive(Debug)]
struct TokenEnded;

impl fmt::Display for TokenEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the caller's token has ended")
    }
}

impl Error for TokenEnded {}

/// The longest a call goes on without looking, as long as for the streams of changes.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use http::HeaderValue;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_whose_token_has_ended_is_an_error_and_then_nothing() {
        let mut body = Until::new(Full::from("data"), Box::pin(ready(())), |_| {});
        assert!(!body.is_end_stream());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.is::<TokenEnded>(), "{error}");
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn trailers_are_prepared_and_data_is_left_alone() {
        let mut trailers = HeaderMap::new();
        trailers.insert("kept", HeaderValue::from_static("1"));
        trailers.insert("secret", HeaderValue::from_static("1"));
        let frames = [Frame::data(Bytes::from("data")), Frame::trailers(trailers)];
        let frames = frames.map(Ok::<_, BoxError>);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let body = Until::new(body, Box::pin(pending()), |trailers| {
            trailers.remove("secret");
        });
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers().unwrap().len(), 1);
        assert!(all.trailers().unwrap().contains_key("kept"));
        assert_eq!(all.to_bytes(), "data");
    }
}
