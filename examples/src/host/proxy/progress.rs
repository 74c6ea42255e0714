use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;

use super::until::Until;

/// A request body that tells whenever a part of it has gone on its way.
///
/// A provider may well answer only when it has everything: until then its time does not run.
pub(super) struct Noted {
    body: Until<Body>,
    progress: watch::Sender<()>,
}

impl Noted {
    pub(super) fn new(body: Until<Body>) -> (Self, watch::Receiver<()>) {
        let (progress, noted) = watch::channel(());
        (Self { body, progress }, noted)
    }
}

impl HttpBody for Noted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.send_replace(());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
