use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::{Layer, Service, layer::util::Stack};

/// Tells which layers a request comes to, in the order in which it does, if anybody wants to know.
#[derive(Clone, Default)]
pub(super) struct Steps(Option<Observer>);

type Observer = Arc<dyn Fn(&'static str) + Send + Sync>;

impl Steps {
    pub(super) fn told_to(observe: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    /// The layer, and a word of its name whenever a request comes to it.
    pub(super) fn to<L>(&self, name: &'static str, layer: L) -> Stack<L, Step> {
        let step = Step {
            name,
            observer: self.0.clone(),
        };
        Stack::new(layer, step)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

/// Stands directly outside of the layer of this name.
#[derive(Clone)]
pub(super) struct Step {
    name: &'static str,
    observer: Option<Observer>,
}

impl<S> Layer<S> for Step {
    type Service = At<S>;

    fn layer(&self, inner: S) -> At<S> {
        At {
            inner,
            step: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct At<S> {
    inner: S,
    step: Step,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for At<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(observe) = &self.step.observer {
            observe(self.step.name);
        }
        self.inner.call(request)
    }
}
