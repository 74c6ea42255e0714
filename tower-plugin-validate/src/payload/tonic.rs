use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tonic::{Request, Status};

use super::{Check, Violations};
use crate::meter::{self, Layer};

/// Checks the message of a request, with `?` at the top of a handler.
///
/// # Errors
///
/// `INVALID_ARGUMENT` with a `google.rpc.BadRequest` that names each field in violation and repeats no
/// value.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::payload::{Check, Violations, checked};
///
/// # #[derive(Debug)]
/// struct Rename {
///     name: String,
/// }
///
/// impl Check for Rename {
///     fn check(&self) -> Result<(), Violations> {
///         let mut violations = Violations::new();
///         if self.name.is_empty() {
///             violations.add("name", "REQUIRED", "is required");
///         }
///         violations.into_result()
///     }
/// }
///
/// async fn rename(request: tonic::Request<Rename>) -> Result<tonic::Response<()>, tonic::Status> {
///     let rename = checked(request)?.into_inner();
///     assert!(!rename.name.is_empty());
///     Ok(tonic::Response::new(()))
/// }
/// # let refused = checked(tonic::Request::new(Rename { name: String::new() }));
/// # assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument);
/// # let _ = rename;
/// ```
pub fn checked<T: Check>(request: Request<T>) -> Result<Request<T>, Status> {
    match request.get_ref().check() {
        Ok(()) => Ok(request),
        Err(violations) => Err(status(violations)),
    }
}

pin_project! {
    /// Checks each message of a stream, such as `tonic::Streaming`.
    ///
    /// The first message in violation ends it, with the status that [`checked`] gives: a handler that
    /// passes errors on with `?` refuses the call.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct CheckedStream<S> {
        #[pin]
        inner: S,
        is_over: bool,
    }
}

impl<S> CheckedStream<S> {
    /// Checks what comes from `inner`.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            is_over: false,
        }
    }

    /// The next message, or none at the end; as `tonic::Streaming::message`.
    ///
    /// # Errors
    ///
    /// The status of the stream, or that of a message in violation.
    pub async fn message<T>(&mut self) -> Result<Option<T>, Status>
    where
        S: Stream<Item = Result<T, Status>> + Unpin,
        T: Check,
    {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// The stream, unchecked.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, T> Stream for CheckedStream<S>
where
    S: Stream<Item = Result<T, Status>>,
    T: Check,
{
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(this.inner.poll_next(cx)).map(|message| {
            let message = message?;
            message.check().map_err(status)?;
            Ok(message)
        });
        *this.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.is_over {
            true => (0, Some(0)),
            // Any message may be the last.
            false => (0, self.inner.size_hint().1),
        }
    }
}

fn status(violations: Violations) -> Status {
    let rejection = violations.into_rejection("");
    tracing::debug!(reason = rejection.reason(), "request refused");
    meter::refused(Layer::Payload, meter::rule(&rejection));
    crate::status::status(rejection)
}
