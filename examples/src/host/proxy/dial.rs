use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tower::Service;

use super::{
    listeners::Listeners,
    reach::{Reach, address},
};

/// Connects to providers: looks a name up, decides about each address, and connects to that address.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) reach: Arc<Reach>,
    /// Where it never connects to.
    pub(super) listeners: Listeners,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            match timeout(CONNECT, dial.connect(&to)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(DialError::TimedOut),
            }
        })
    }
}

impl Dial {
    async fn connect(&self, to: &Uri) -> Result<TcpStream, DialError> {
        let host = to.host().ok_or(DialError::NotAllowed)?;
        let port = to.port_u16().unwrap_or(80);
        let found: Vec<SocketAddr> = match address(host) {
            Some(address) => vec![(address, port).into()],
            None => lookup_host((host, port))
                .await
                .map_err(DialError::Failed)?
                .take(MAX_ADDRESSES)
                .collect(),
        };
        let mut failure = DialError::NotAllowed;
        for address in found {
            if !self.reach.may_dial(host, address.ip()) || self.listeners.include(address) {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) if self.is_home(&stream) => failure = DialError::NotAllowed,
                Ok(stream) => {
                    let _best_effort = stream.set_nodelay(true);
                    let _best_effort = keep_alive(&stream);
                    return Ok(stream);
                }
                Err(error) => failure = DialError::Failed(error),
            }
        }
        Err(failure)
    }

    fn is_home(&self, stream: &TcpStream) -> bool {
        match (stream.local_addr(), stream.peer_addr()) {
            (Ok(local), Ok(remote)) => self.listeners.answer(local, remote),
            // Gone again: nothing is to be sent there either.
            _ => true,
        }
    }
}

// HTTP/2 has its PINGs; a stream over HTTP/1.1 may be silent for days, and then nobody else notices that
// its provider is gone.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    Failed(io::Error),
    NotAllowed,
    TimedOut,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::NotAllowed => f.write_str("no address of it may be connected to"),
            Self::TimedOut => f.write_str("connecting took too long"),
        }
    }
}

impl Error for DialError {}

const CONNECT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn outcome(hosts: &[&str], networks: &[&str], host: &str) -> Result<(), DialError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let networks: Vec<_> = networks.iter().map(|net| net.parse().unwrap()).collect();
        let mut dial = to(Reach::new(&hosts, &networks, &[]).unwrap());
        let uri = format!("http://{host}:{port}/").parse().unwrap();
        dial.call(uri).await.map(drop)
    }

    fn to(reach: Reach) -> Dial {
        Dial {
            reach: Arc::new(reach),
            listeners: Listeners::default(),
        }
    }

    // A name that was public when it was looked at, and leads home when it is connected to.
    #[tokio::test]
    async fn f55_what_a_name_leads_to_is_decided_when_it_is_connected_to() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            for (hosts, networks) in [
                (&["*.example.com"][..], &[][..]),
                (&[], &["10.0.0.0/8"]),
                (&[], &[]),
            ] {
                let refused = outcome(hosts, networks, host).await;
                assert!(
                    matches!(refused, Err(DialError::NotAllowed)),
                    "{host}: {refused:?}"
                );
            }
        }
        outcome(&["localhost"], &[], "localhost").await.unwrap();
        outcome(&[], &["127.0.0.0/8"], "localhost").await.unwrap();
        outcome(&[], &["127.0.0.0/8"], "127.0.0.1").await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_connection_is_looked_after() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let reach = Reach::new(&[], &["127.0.0.0/8".parse().unwrap()], &[]).unwrap();
        let stream = to(reach).call(uri.parse().unwrap()).await.unwrap();
        assert!(SockRef::from(stream.inner()).keepalive().unwrap());
    }

    #[tokio::test]
    async fn nobody_at_home_is_a_failure_and_no_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let reach = Reach::new(&[], &["127.0.0.0/8".parse().unwrap()], &[]).unwrap();
        let failed = to(reach).call(uri.parse().unwrap()).await;
        assert!(matches!(failed, Err(DialError::Failed(_))), "{failed:?}");
    }

    // A listed network with the host in it used to include the host's own listeners.
    #[tokio::test]
    async fn f55_the_host_is_no_provider_whatever_is_listed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let networks = ["127.0.0.0/8".parse().unwrap()];
        let mut dial = to(Reach::new(&["localhost".to_owned()], &networks, &[]).unwrap());
        let uri = |host: &str| format!("http://{host}:{}/", own.port()).parse().unwrap();
        dial.call(uri("127.0.0.1")).await.unwrap();
        dial.listeners.add(own);
        for host in ["127.0.0.1", "127.0.0.2", "localhost"] {
            let refused = dial.call(uri(host)).await;
            assert!(
                matches!(refused, Err(DialError::NotAllowed)),
                "{host}: {refused:?}"
            );
        }
    }
}
