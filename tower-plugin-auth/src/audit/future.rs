use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

use http::Response;
use pin_project_lite::pin_project;

use super::request::Seen;

pin_project! {
    /// The response of [`Audit`](super::Audit): the inner service's.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        seen: Option<Seen>,
    }

    /// The caller has gone away, or somebody further out has lost patience.
    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            // A sink that panics while a panic is under way would end the process.
            if let Some(seen) = this.project().seen.take()
                && !thread::panicking()
            {
                seen.abandoned();
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, seen: Seen) -> Self {
        Self {
            inner,
            seen: Some(seen),
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        if let Some(seen) = this.seen.take() {
            match &answer {
                Ok(response) => seen.answered(response),
                Err(_) => seen.failed(),
            }
        }
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{pending, poll_fn},
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{Arc, Mutex},
        task::Waker,
    };

    use http::Request;
    use tower::{Layer, Service, service_fn};

    use super::*;
    use crate::audit::{AuditEvent, AuditLayer};

    type Answer = Result<Response<()>, Infallible>;

    /// What is recorded of a request of which `inner` is polled once.
    fn recorded<F: Future<Output = Answer>>(inner: fn() -> F, is_asked: bool) -> Vec<String> {
        let records = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let records = Arc::clone(&records);
            move |event: &AuditEvent<'_>| {
                let (name, outcome, details) = (event.name(), event.outcome(), event.details());
                let record = format!("{name} {outcome} {:?} {details:?}", event.resource());
                records.lock().unwrap().push(record);
            }
        };
        let layer = AuditLayer::new(sink).with_admitted(move |_| is_asked);
        let mut service = layer.layer(service_fn(move |_: Request<()>| inner()));
        let polled = catch_unwind(AssertUnwindSafe(move || {
            let mut future = Box::pin(service.call(Request::new(())));
            let mut context = Context::from_waker(Waker::noop());
            future.as_mut().poll(&mut context).is_ready()
        }));
        drop(polled);
        let records = records.lock().unwrap();
        records.clone()
    }

    #[test]
    fn a_request_whose_caller_goes_away_is_recorded_where_asked() {
        let gone = ["request_admitted error Some(\"/\") [(\"cause\", \"CANCELLED\")]"];
        assert_eq!(recorded(pending::<Answer>, true), gone);
        assert!(recorded(pending::<Answer>, false).is_empty());
    }

    #[test]
    fn a_request_that_was_answered_is_recorded_once() {
        let answered = || async { Ok(Response::new(())) };
        let records = recorded(answered, true);
        assert_eq!(records.len(), 1, "{records:?}");
        assert!(records[0].contains("success"), "{records:?}");
    }

    #[test]
    fn no_sink_is_called_while_a_panic_is_under_way() {
        let broken = || poll_fn(|_| -> Poll<Answer> { panic!("on purpose") });
        assert!(recorded(broken, true).is_empty());
    }
}
