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
