//! One connection, made when it is needed and made anew when it is of no more use.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind,
    aio::{ConnectionLike, MultiplexedConnection},
};
use futures_util::future::{FutureExt, Shared};
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::timeout};

use super::script::{Atomic, Call};
use crate::store::StoreError;

pub(in crate::store) struct Link {
    client: Client,
    deadline: Duration,
    connect_timeout: Duration,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// How many there were.
    number: u64,
    connecting: Option<Connecting>,
}

/// A connection being made, or made already.
type Connecting = Shared<Pin<Box<dyn Future<Output = Result<Connected, Arc<RedisError>>> + Send>>>;

#[derive(Clone)]
struct Connected {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) fn new(client: Client, deadline: Duration, connect_timeout: Duration) -> Self {
        Self {
            client,
            deadline,
            connect_timeout,
            current: Mutex::default(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(in crate::store) async fn query<T: FromRedisValue>(
        &self,
        command: Cmd,
    ) -> Result<T, StoreError> {
        self.in_time(self.ask(&command)).await
    }

    pub(in crate::store) async fn run<T: FromRedisValue>(
        &self,
        script: &Atomic,
        call: &Call,
    ) -> Result<T, StoreError> {
        self.in_time(async {
            match self.ask(&script.by_hash(call)).await {
                Err(Trouble::Redis(error))
                    if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
                {
                    self.ask(&script.in_full(call)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// One deadline for all that a caller waits for.
    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, StoreError> {
        if Handle::try_current().is_err() {
            return Err(StoreError::unavailable("not in a Tokio runtime"));
        }
        match timeout(self.deadline, asking).await {
            Ok(answer) => answer.map_err(|trouble| match trouble {
                Trouble::Connecting(error) => StoreError::unavailable(error),
                Trouble::Redis(error) => StoreError::unavailable(error),
            }),
            Err(late) => {
                // Maybe only slow: what others wait for on it still arrives, but no more is asked.
                let number = self.current.lock().number;
                self.let_go(number);
                Err(StoreError::unavailable(late))
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let connecting = self.connecting();
        let Connected {
            number,
            mut connection,
        } = connecting.await.map_err(Trouble::Connecting)?;
        let answer = async {
            let value = connection.req_packed_command(command).await?;
            Ok::<_, RedisError>(T::from_redis_value(value.extract_error()?)?)
        };
        answer.await.map_err(|error| {
            if is_over(&error) {
                self.let_go(number);
            }
            Trouble::Redis(error)
        })
    }

    fn connecting(&self) -> Connecting {
        let mut current = self.current.lock();
        let failed = |connecting: &Connecting| matches!(connecting.peek(), Some(Err(_)));
        if let Some(connecting) = current.connecting.as_ref().filter(|c| !failed(c)) {
            return connecting.clone();
        }
        current.number += 1;
        let number = current.number;
        let (client, patience) = (self.client.clone(), self.connect_timeout);
        let connecting: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            let connection = connect(&client, patience).await.map_err(Arc::new)?;
            Ok(Connected { number, connection })
        });
        let connecting = connecting.shared();
        current.connecting = Some(connecting.clone());
        // It goes on when those who wait for it give up: the next to come find it made.
        tokio::spawn(connecting.clone().map(drop));
        connecting
    }

    /// Makes the next caller connect anew, unless somebody has already.
    fn let_go(&self, number: u64) {
        let mut current = self.current.lock();
        if current.number == number {
            // One that is being made has a time limit of its own.
            let is_made = |c: &Connecting| c.peek().is_some();
            if current.connecting.as_ref().is_some_and(is_made) {
                current.connecting = None;
            }
        }
    }
}

async fn connect(client: &Client, patience: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        // Every caller has a deadline of its own.
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(patience, connecting)
        .await
        .unwrap_or_else(|_| Err((ErrorKind::Io, "no connection in time").into()))
}

/// Whether a connection that has said this has no more to say.
fn is_over(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            // What was the primary is one no more: its name may lead to another by now.
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}

enum Trouble {
    Connecting(Arc<RedisError>),
    Redis(RedisError),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may carry a password.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
