//! A master, and one that takes over.

use super::{RedisServer, poll};

/// Two servers, of which the second follows the first.
#[derive(Debug)]
pub struct Replication {
    /// The one that takes writes at first.
    pub first: RedisServer,
    /// The one that follows it at first.
    pub second: RedisServer,
}

impl Replication {
    /// Starts both, and waits until the second follows the first.
    pub async fn start() -> Self {
        // A full copy goes out at once, and not five seconds later.
        let args = ["--repl-diskless-sync-delay", "0"];
        let (first, second) = tokio::join!(
            RedisServer::start_with(&args),
            RedisServer::start_with(&args)
        );
        follow(&second, &first).await;
        Self { first, second }
    }

    /// Lets the second take writes. The first, if it lives, does so too: a split brain.
    pub async fn promote(&self) {
        self.second.cli(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Lets the first follow the second, which must have been promoted: the first forgets what it
    /// has and answers writes with `READONLY`.
    pub async fn demote(&self) {
        follow(&self.first, &self.second).await;
    }

    /// Waits until every write the first has answered so far is known to the second.
    pub async fn settle(&self) {
        let settled = poll(async || {
            let (first, second) = tokio::join!(
                self.first.info("replication"),
                self.second.info("replication")
            );
            let behind = first["master_repl_offset"] != second["master_repl_offset"];
            (!behind).then_some(())
        });
        assert!(settled.await.is_some(), "the replica does not catch up");
    }
}

async fn follow(replica: &RedisServer, master: &RedisServer) {
    let port = master.port().to_string();
    replica.cli(&["REPLICAOF", "127.0.0.1", &port]).await;
    let linked = poll(async || {
        let state = replica.info("replication").await;
        (state.get("master_link_status")? == "up").then_some(())
    });
    assert!(linked.await.is_some(), "the replica finds no master");
}
