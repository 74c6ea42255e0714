//! Many connections and principals against a server behind all layers.
//!
//! Each connection has one request under way and sends the next when the last is answered. So the
//! latencies are those under full load, and most of them is waiting for a processor; client and server share the
//! machine's. Of a hundred requests 90 come with a token of some principal, two with the token of one
//! greedy principal, and the others have to be refused: no token, a token of nobody, a path that climbs.

use std::{
    cell::RefCell,
    error::Error,
    io::{BufRead, BufReader},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::task::LocalSet;

use self::{
    histogram::Histogram,
    memory::Memory,
    plan::{Kind, Plan},
    server::Child,
    tally::Tally,
};
use crate::{
    http1::Connection,
    runner::{now, uncounted},
};

mod histogram;
mod memory;
mod plan;
mod report;
mod server;
mod tally;

pub use report::Report;
pub use server::serve;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How long.
    pub duration: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Principals, each with a token.
    pub principals: usize,
}

type Failure = Box<dyn Error + Send + Sync>;

/// Starts the server, loads it, and ends it.
///
/// # Errors
///
/// If the server does not start, or a connection cannot be opened (see `ulimit -n`).
pub fn run(load: Load) -> Result<Report, Failure> {
    let mut child = Child::start(load.principals)?;
    let mut lines = BufReader::new(child.output()?).lines();
    let mut next = || -> Result<String, Failure> { Ok(lines.next().ok_or("the server ended")??) };
    let address: SocketAddr = next()?.parse()?;
    let mut tokens = Vec::with_capacity(load.principals);
    for _ in 0..load.principals {
        tokens.push(next()?);
    }

    let seen = Rc::new(RefCell::new(Seen::default()));
    let plan = Rc::new(Plan::new(tokens));
    let before = memory::load_average();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let memory = uncounted(|| -> Result<Memory, Failure> {
        let mut connections = Vec::with_capacity(load.connections);
        for _ in 0..load.connections {
            connections.push(runtime.block_on(Connection::open(address))?);
        }
        let end = now() + load.duration;
        for (index, connection) in connections.into_iter().enumerate() {
            let (plan, seen) = (Rc::clone(&plan), Rc::clone(&seen));
            local.spawn_local(async move {
                let mut connection = connection;
                let mut kinds = plan.requests(index as u64);
                while now() < end {
                    let (kind, request) = kinds.next_request();
                    let start = now();
                    let status = connection.send(request).await.ok();
                    seen.borrow_mut().record(kind, status, start.elapsed());
                    if status.is_none() {
                        break;
                    }
                }
            });
        }
        let watching = async {
            let mut memory = Memory::default();
            while now() < end {
                tokio::time::sleep(SAMPLE.min(end - now())).await;
                memory.sample(child.id(), load.duration.saturating_sub(end - now()))?;
            }
            Ok::<_, Failure>(memory)
        };
        let memory = local.block_on(&runtime, watching)?;
        // Every task ends with the answer it waits for.
        runtime.block_on(local);
        Ok(memory)
    })?;
    let seen = seen.take();
    Ok(Report {
        load,
        load_average: [before, memory::load_average()],
        latency: seen.latency,
        tally: seen.tally,
        memory,
    })
}

#[derive(Default)]
struct Seen {
    latency: Histogram,
    tally: Tally,
}

impl Seen {
    fn record(&mut self, kind: Kind, status: Option<u16>, took: Duration) {
        self.latency.record(took);
        self.tally.record(kind, status);
    }
}

const SAMPLE: Duration = Duration::from_millis(250);
