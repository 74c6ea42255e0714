//! Three masters that share the slots.

use std::collections::BTreeMap;

use super::{RedisServer, fields, free_port, poll};

/// A cluster of three masters without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// The name of each node within the cluster.
    ids: Vec<String>,
}

impl RedisCluster {
    /// Starts the nodes and waits until each says that all slots are served; that takes two seconds.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with further arguments for each node. With `--cluster-require-full-coverage no`,
    /// the others go on when one is lost.
    pub async fn start_with(args: &[&str]) -> Self {
        let (first, second, third) =
            tokio::join!(start_node(args), start_node(args), start_node(args));
        let nodes = vec![first, second, third];
        let mut ids = Vec::new();
        for (node, (first, last)) in nodes.iter().zip(RANGES) {
            ids.push(node.cli(&["CLUSTER", "MYID"]).await);
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        for (epoch, node) in nodes.iter().enumerate() {
            // Else all start with the same, and take seconds to settle who keeps it.
            let epoch = (epoch + 1).to_string();
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        let port = nodes[0].port().to_string();
        let bus = nodes[0].cli(&["CONFIG", "GET", "cluster-port"]).await;
        let bus = bus.lines().last().expect("its value");
        for node in &nodes[1..] {
            node.cli(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])
                .await;
        }
        let cluster = Self { nodes, ids };
        cluster.wait_until_ok().await;
        cluster
    }

    /// A node of the three.
    #[must_use]
    pub fn node(&self, node: usize) -> &RedisServer {
        &self.nodes[node]
    }

    /// A node of the three, to be killed and started again.
    pub fn node_mut(&mut self, node: usize) -> &mut RedisServer {
        &mut self.nodes[node]
    }

    /// Where clients find each node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Waits until every node says that all slots are served.
    pub async fn wait_until_ok(&self) {
        for node in &self.nodes {
            wait_for_state(node, |state| {
                state["cluster_state"] == "ok"
                    && state["cluster_known_nodes"] == "3"
                    && state["cluster_slots_ok"] == "16384"
            })
            .await;
        }
    }

    /// Waits until the others agree that a node, which was killed or paused, is gone; that takes
    /// more than a second.
    pub async fn wait_until_lost(&self, lost: usize) {
        for (index, node) in self.nodes.iter().enumerate() {
            if index != lost {
                wait_for_state(node, |state| state["cluster_slots_fail"] != "0").await;
            }
        }
    }

    /// The slot of a key.
    pub async fn slot_of(&self, key: &str) -> u16 {
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).await;
        slot.parse().expect("a slot")
    }

    /// Starts to move a slot. Until [`finish_move`](Self::finish_move), the source answers for the
    /// keys it has with a value and for all others with `ASK`.
    pub async fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.ids[from], &self.ids[to]);
        let slot = slot.to_string();
        let (from, to) = (self.node(from), self.node(to));
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", source])
            .await;
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", target])
            .await;
    }

    /// Moves the slot's keys, then the slot: from now on the source answers with `MOVED`.
    pub async fn finish_move(&self, slot: u16, from: usize, to: usize) {
        let target = &self.ids[to];
        let slot = slot.to_string();
        let port = self.node(to).port().to_string();
        loop {
            let keys = ["CLUSTER", "GETKEYSINSLOT", &slot, "100"];
            let keys = self.node(from).cli(&keys).await;
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys.lines());
            self.node(from).cli(&migrate).await;
        }
        // The target first: were it the source, nobody would own the slot for a moment.
        let others = (0..self.nodes.len()).filter(|&node| node != to);
        for node in [to].into_iter().chain(others) {
            let assign = ["CLUSTER", "SETSLOT", &slot, "NODE", target];
            self.node(node).cli(&assign).await;
        }
    }
}

async fn wait_for_state(
    node: &RedisServer,
    mut condition: impl FnMut(&BTreeMap<String, String>) -> bool,
) {
    let reached = poll(async || {
        let reply = node.try_cli(&["CLUSTER", "INFO"]).await.ok()?;
        condition(&fields(&reply)).then_some(())
    });
    assert!(reached.await.is_some(), "the cluster does not get there");
}

async fn start_node(args: &[&str]) -> RedisServer {
    // By default the nodes talk to each other at the port + 10,000, which may be taken.
    let bus = free_port().to_string();
    let mut all = vec![
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-announce-ip",
        "127.0.0.1",
        "--cluster-node-timeout",
        "1000",
    ];
    all.extend(args);
    RedisServer::start_with(&all).await
}

const RANGES: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
