//! Listens for changes, on a connection of its own, and feeds an [`Invalidator`].

use std::{sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{config::InvalidConfig, store::Invalidator, token::TokenId};

/// Ends the listening when it is dropped.
pub(in crate::store) struct Watcher(JoinHandle<()>);

impl Watcher {
    pub(super) fn start(
        client: &Client,
        connect_timeout: Duration,
        tag: &str,
        invalidator: Invalidator,
    ) -> Result<Self, InvalidConfig> {
        let url = InvalidConfig::new(
            "url",
            "the address of a Redis server, e.g. redis://host:6379",
        );
        let info = client.get_connection_info().clone();
        // Only the third version of the protocol tells what nobody has asked for.
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings).into_connection_info();
        let listening = Listening {
            client: Client::open(info.map_err(|_| url)?).map_err(|_| url)?,
            connect_timeout,
            // In time for the lease that is in force to be renewed, one lost answer included.
            interval: invalidator.bound() / 4,
            prefix: format!("{tag}:t:").into(),
            invalidator,
        };
        let runtime = Handle::try_current()
            .map_err(|_| InvalidConfig::new("runtime", "a Tokio runtime, entered before"))?;
        Ok(Self(runtime.spawn(listening.run())))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Listening {
    client: Client,
    connect_timeout: Duration,
    interval: Duration,
    /// What the names of records begin with.
    prefix: Arc<str>,
    invalidator: Invalidator,
}

impl Listening {
    async fn run(self) {
        let mut pause = MIN_PAUSE;
        loop {
            match self.listen(&mut pause).await {
                Ok(never) => match never {},
                // Both are worth a line when it begins, not with every attempt.
                Err(error) if pause == MIN_PAUSE => {
                    tracing::warn!(%error, "changes of tokens are not heard of");
                }
                Err(error) => tracing::debug!(%error, "changes of tokens are not heard of"),
            }
            self.invalidator.lost();
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn listen(&self, pause: &mut Duration) -> Result<Never, RedisError> {
        let lost = Arc::new(Notify::new());
        let mut connection = self.connect(&lost).await?;
        // Whatever was remembered so far may have changed before anybody listened.
        self.invalidator.flush();
        let mut heard = None;
        loop {
            let asked_at = self.invalidator.now();
            self.ask(&mut connection, Cmd::new().arg("PING")).await?;
            // Redis tells of changes at the end of the round in which it answers a ping: only the next
            // answer proves that all news from before this one have arrived.
            if let Some(before) = heard.replace(asked_at) {
                self.invalidator.confirm(before);
                *pause = MIN_PAUSE;
                let next = timeout(self.interval, lost.notified());
                if next.await.is_ok() {
                    return Err((ErrorKind::Io, "connection lost").into());
                }
            }
        }
    }

    /// A connection on which Redis tells of every change of a record.
    async fn connect(&self, lost: &Arc<Notify>) -> Result<MultiplexedConnection, RedisError> {
        let news = {
            let (prefix, lost) = (Arc::clone(&self.prefix), Arc::clone(lost));
            let invalidator = self.invalidator.clone();
            // It runs where answers are read, so a ping's answer never overtakes the news before it.
            move |push: PushInfo| {
                match push.kind {
                    PushKind::Invalidate => tell(&invalidator, &prefix, push.data),
                    PushKind::Disconnection => {
                        invalidator.lost();
                        lost.notify_one();
                    }
                    _ => {}
                }
                Ok::<_, ::redis::aio::SendError>(())
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_push_sender(news);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let mut connection = timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(late()))?;
        let mut track = Cmd::new();
        track.arg("CLIENT").arg("TRACKING").arg("ON").arg("BCAST");
        track.arg("PREFIX").arg(&*self.prefix);
        self.ask(&mut connection, &track).await?;
        Ok(connection)
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        command: &Cmd,
    ) -> Result<(), RedisError> {
        // Later than that, it could not renew the lease anyway.
        timeout(self.interval, command.exec_async(connection))
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

fn tell(invalidator: &Invalidator, prefix: &str, data: Vec<Value>) {
    for value in data {
        match Vec::<String>::from_redis_value(value) {
            Ok(keys) if !keys.is_empty() => {
                for id in keys.iter().filter_map(|key| key.strip_prefix(prefix)) {
                    if let Ok(id) = id.parse::<TokenId>() {
                        invalidator.forget(&id);
                    }
                }
            }
            // Nothing named means everything; and what is not understood may mean anything.
            _ => invalidator.flush(),
        }
    }
}

fn late() -> RedisError {
    (ErrorKind::Io, "no answer in time").into()
}

enum Never {}

const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);
