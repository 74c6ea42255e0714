//! A server on a thread of its own.

use std::{net::SocketAddr, sync::mpsc, thread, time::Duration};

use cpu_time::ThreadTime;
use tokio::{net::TcpListener, runtime::Handle, sync::oneshot};

use crate::runner::uncounted;

/// Ends when it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    token: String,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves on a free port of the loopback interface. `serve` sends the token that is let in.
    pub(super) fn start<F>(
        serve: impl FnOnce(TcpListener, mpsc::Sender<String>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()>,
    {
        let (send_token, token) = mpsc::channel();
        let (send_place, place) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            super::pin(0);
            let serving = async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                let _ = send_place.send((address, Handle::current()));
                tokio::select! {
                    () = serve(listener, send_token) => {}
                    _ = stopped => {}
                }
            };
            uncounted(|| super::runtime().block_on(serving));
        });
        let (address, runtime) = place.recv().expect("the server binds");
        Self {
            address,
            token: token.recv().expect("the server issues a token"),
            runtime,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// How long the server's thread ran for while this was done.
    pub(super) fn time(&self, work: impl FnOnce()) -> Duration {
        let before = self.ran();
        work();
        self.ran().saturating_sub(before)
    }

    fn ran(&self) -> Duration {
        let (send, ran) = mpsc::channel();
        self.runtime.spawn(async move {
            let _ = send.send(ThreadTime::now().as_duration());
        });
        ran.recv().expect("the server runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
