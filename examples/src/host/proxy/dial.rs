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
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tower::Service;

use super::reach::{Reach, address};

/// Connects to providers: looks a name up, decides about each address, and connects to that address.
#[derive(Clone, Debug)]
pub(super) struct Dial(pub(super) Arc<Reach>);

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let reach = Arc::clone(&self.0);
        Box::pin(async move {
            match timeout(CONNECT, dial(&reach, &to)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(DialError::TimedOut),
            }
        })
    }
}

async fn dial(reach: &Reach, to: &Uri) -> Result<TcpStream, DialError> {
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
        if !reach.may_dial(host, address.ip()) {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _best_effort = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failure = DialError::Failed(error),
        }
    }
    Err(failure)
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
        let mut dial = Dial(Arc::new(Reach::new(&hosts, &networks, &[]).unwrap()));
        let to = format!("http://{host}:{port}/").parse().unwrap();
        dial.call(to).await.map(drop)
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
    async fn nobody_at_home_is_a_failure_and_no_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let reach = Reach::new(&[], &["127.0.0.0/8".parse().unwrap()], &[]).unwrap();
        let failed = Dial(Arc::new(reach)).call(to.parse().unwrap()).await;
        assert!(matches!(failed, Err(DialError::Failed(_))), "{failed:?}");
    }
}
