//! A client on a thread of its own, that keeps many requests under way.

use std::{net::SocketAddr, sync::mpsc, thread};

use futures_util::future::join_all;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Endpoint,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{http1::Connection, runner::uncounted};

/// Ends when it is dropped.
pub(super) struct Client {
    ask: mpsc::Sender<u64>,
    done: mpsc::Receiver<()>,
}

impl Client {
    /// Over connections of HTTP/1.1, one request at a time on each.
    pub(super) fn http1(address: SocketAddr, token: &str) -> Self {
        let request = format!(
            "GET /hello HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nuser-agent: load\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        let connect = async move || Connection::open(address).await.expect("a connection");
        Self::start(connect, async move |connection, times| {
            for _ in 0..times {
                let status = connection.send(request.as_bytes()).await;
                assert_eq!(status.expect("a response"), 200);
            }
        })
    }

    /// Over connections of HTTP/2, one call at a time on each.
    pub(super) fn grpc(address: SocketAddr, token: &str) -> Self {
        let authorization: MetadataValue<Ascii> =
            format!("Bearer {token}").parse().expect("a header value");
        let connect = async move || {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
            HealthClient::new(endpoint.connect().await.expect("a connection"))
        };
        Self::start(connect, async move |client, times| {
            for _ in 0..times {
                let mut request = tonic::Request::new(HealthCheckRequest::default());
                let metadata = request.metadata_mut();
                metadata.insert("authorization", authorization.clone());
                client.check(request).await.expect("a response");
            }
        })
    }

    fn start<C: 'static>(
        connect: impl AsyncFn() -> C + Send + 'static,
        call: impl AsyncFn(&mut C, u64) + Send + 'static,
    ) -> Self {
        let (ask, asked) = mpsc::channel::<u64>();
        let (say, done) = mpsc::channel();
        thread::spawn(move || {
            super::pin(1);
            uncounted(|| {
                let runtime = super::runtime();
                let connecting = async { join_all((0..CONNECTIONS).map(|_| connect())).await };
                let mut connections = runtime.block_on(connecting);
                for total in asked {
                    let calls = connections.iter_mut().zip(shares(total));
                    let calls = calls.map(|(connection, times)| call(connection, times));
                    runtime.block_on(async { join_all(calls).await });
                    if say.send(()).is_err() {
                        break;
                    }
                }
            });
        });
        Self { ask, done }
    }

    /// Makes so many requests in all.
    pub(super) fn load(&self, requests: u64) {
        self.ask.send(requests).expect("the client runs");
        self.done.recv().expect("the client runs");
    }
}

/// A number in as many even shares as there are connections.
fn shares(total: u64) -> impl Iterator<Item = u64> {
    (0..CONNECTIONS).map(move |index| (total + index) / CONNECTIONS)
}

const CONNECTIONS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_to_the_whole() {
        for total in [0, 1, 31, 32, 1000] {
            assert_eq!(shares(total).sum::<u64>(), total);
            assert_eq!(shares(total).count() as u64, CONNECTIONS);
        }
    }
}
