//! The script that decides inside Redis, and how it is called.

use std::{sync::LazyLock, time::Duration};

use redis::{ErrorKind, RedisError, Script, ServerErrorKind};

use super::link::Connection;

/// What is sent where the server does not know the script yet.
pub(super) const TEXT: &str = include_str!("script.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TEXT));

/// Runs the script: by its hash, and in full where the server has not seen it or has forgotten it.
pub(super) async fn run(
    connection: &mut Connection,
    keys: &[String],
    batch: &[u8],
    patience: Duration,
) -> Result<Vec<u8>, RedisError> {
    let call = async {
        let by_hash = command("EVALSHA", SCRIPT.get_hash(), keys, batch);
        match connection.query(&by_hash).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // It was not run, so nothing is done twice.
                connection.query(&command("EVAL", TEXT, keys, batch)).await
            }
            answer => answer,
        }
    };
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer,
        Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer in time"))),
    }
}

fn command(name: &'static str, script: &str, keys: &[String], batch: &[u8]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    command.arg(name).arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_str());
    }
    command.arg(batch);
    command
}
