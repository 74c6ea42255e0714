//! The connection that all lanes share.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// Where Redis is.
pub(super) enum Server {
    One(Client),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
    #[cfg(feature = "redis-sentinel")]
    Sentinel(tokio::sync::Mutex<redis::sentinel::SentinelClient>),
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(
        &mut self,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        let value = match self {
            Self::One(connection) => connection.req_packed_command(command).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        }?;
        Ok(T::from_redis_value(value.extract_error()?)?)
    }
}

/// Makes one connection at a time, and another when that is of no more use.
pub(super) struct Link {
    server: Server,
    patience: Duration,
    current: Mutex<Option<Numbered>>,
    /// How many connections there were; held while one is made.
    connecting: tokio::sync::Mutex<u64>,
}

/// A connection, and how many there were before it.
#[derive(Clone)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) connection: Connection,
}

impl Link {
    pub(super) fn new(server: Server, patience: Duration) -> Self {
        Self {
            server,
            patience,
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(0),
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        match self.server {
            Server::One(_) => false,
            #[cfg(feature = "redis-cluster")]
            Server::Cluster(_) => true,
            #[cfg(feature = "redis-sentinel")]
            Server::Sentinel(_) => false,
        }
    }

    /// The connection there is, or a new one.
    pub(super) async fn connection(&self) -> Result<Numbered, RedisError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let mut made = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let connecting = tokio::time::timeout(self.patience, self.server.connect(self.patience));
        let connection = connecting
            .await
            .unwrap_or_else(|_| Err((ErrorKind::Io, "no connection in time").into()))?;
        let next = Numbered {
            number: *made,
            connection,
        };
        *made += 1;
        Ok(self.current.lock().insert(next).clone())
    }

    fn current(&self) -> Option<Numbered> {
        self.current.lock().clone()
    }

    /// Lets a connection go after such an error, unless it is another's by now, or may still serve.
    pub(super) fn failed(&self, number: u64, error: &RedisError) {
        // The cluster's client looks after its own connections.
        let over = error.is_io_error()
            || error.is_connection_dropped()
            || error.is_unrecoverable_error()
            || matches!(
                error.kind(),
                // A primary that has become a replica: another one is to be found.
                ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            );
        if over && !self.is_cluster() {
            let mut current = self.current.lock();
            if current
                .as_ref()
                .is_some_and(|current| current.number == number)
            {
                *current = None;
            }
        }
    }
}

impl Server {
    async fn connect(&self, patience: Duration) -> Result<Connection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            // Lanes have their own patience.
            .set_response_timeout(None);
        match self {
            Self::One(client) => {
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                connecting.await.map(Connection::One)
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(client) => {
                let mut client = client.lock().await;
                let connecting = client.get_async_connection_with_config(&config);
                connecting.await.map(Connection::One)
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses may carry passwords.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
