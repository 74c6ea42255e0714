//! Real Redis servers that a test starts, breaks and leaves nothing of.
//!
//! They need a runtime in real time: with tokio's paused clock, the time limits in here would pass
//! at once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use cli::{Address, fields, missing};
use process::Process;

mod cli;
mod cluster;
mod process;
mod replication;

pub use cluster::RedisCluster;
pub use replication::Replication;

/// Arguments for a server that keeps every write it has answered, even when it is killed.
///
/// The log is written before the reply and never waits for the disk: it survives the process, not
/// the machine.
pub const APPEND_ONLY: &[&str] = &["--appendonly", "yes", "--appendfsync", "no"];

/// A server with a directory of its own; both are gone when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    // Dropped first: a server must not write into a directory that is being removed.
    process: Option<Process>,
    address: Address,
    args: Vec<String>,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server that keeps nothing, on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further arguments, such as [`APPEND_ONLY`].
    pub async fn start_with(args: &[&str]) -> Self {
        // Somebody else may take a free port before the server does.
        let mut attempts_left = 4;
        loop {
            let mut server = Self::stopped(Address::Port(free_port()), args);
            match server.try_launch().await {
                Ok(()) => return server,
                Err(_) if attempts_left > 0 => attempts_left -= 1,
                Err(log) => panic!("redis-server did not start with {args:?}:\n{log}"),
            }
        }
    }

    /// Starts one that listens on a unix socket and on no port.
    pub async fn start_on_socket(args: &[&str]) -> Self {
        let mut server = Self::stopped(Address::Port(0), args);
        server.address = Address::Socket(server.directory.path().join("redis.sock"));
        server.launch().await;
        server
    }

    fn stopped(address: Address, args: &[&str]) -> Self {
        Self {
            process: None,
            address,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            directory: TempDir::new().expect("a temporary directory"),
        }
    }

    /// Where clients find it: `redis://127.0.0.1:PORT`, or `redis+unix:///PATH`.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.address {
            Address::Port(port) => format!("redis://127.0.0.1:{port}"),
            Address::Socket(path) => format!("redis+unix://{}", path.display()),
        }
    }

    /// Its port.
    ///
    /// # Panics
    ///
    /// If it listens on a unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self.address {
            Address::Port(port) => port,
            Address::Socket(_) => panic!("the server listens on a unix socket"),
        }
    }

    /// Its working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills it with SIGKILL, if it runs, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address, with the same directory; kills it before if it runs.
    ///
    /// What it remembers is what it was told to keep: nothing, but for [`APPEND_ONLY`].
    pub async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// Stops it with SIGSTOP: connections stay open, new ones are made, nothing is answered.
    pub async fn pause(&self) {
        self.running().pause().await;
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Runs a command and returns the reply, lists with an element a line.
    ///
    /// # Panics
    ///
    /// If the server answers with an error, or not within twenty seconds.
    pub async fn cli(&self, args: &[&str]) -> String {
        match self.try_cli(args).await {
            Ok(reply) => reply,
            Err(error) => panic!("{args:?}: {error}"),
        }
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// What the server said, or why it could not be asked.
    pub async fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        self.address.ask(args).await
    }

    /// A section of `INFO`, such as `commandstats`, by field.
    pub async fn info(&self, section: &str) -> BTreeMap<String, String> {
        fields(&self.cli(&["INFO", section]).await)
    }

    /// How often a command was called (or a subcommand: `config|set`), in scripts included, since
    /// the start or the last `CONFIG RESETSTAT`.
    ///
    /// This harness itself calls `INFO`, and what it is asked to.
    pub async fn calls(&self, command: &str) -> u64 {
        let statistics = self.info("commandstats").await;
        let Some(statistics) = statistics.get(&format!("cmdstat_{command}")) else {
            return 0;
        };
        // calls=1,usec=2,...
        let calls = statistics.split(['=', ',']).nth(1);
        calls.expect("calls").parse().expect("a number")
    }

    async fn launch(&mut self) {
        if let Err(log) = self.try_launch().await {
            panic!("redis-server did not start with {:?}:\n{log}", self.args);
        }
    }

    /// Starts the process and waits until it answers; else returns its log.
    async fn try_launch(&mut self) -> Result<(), String> {
        let log = self.directory.path().join("redis.log");
        let mut command = Command::new("redis-server");
        match &self.address {
            Address::Port(port) => command.args(["--port", &port.to_string()]),
            Address::Socket(path) => command.args(["--port", "0", "--unixsocket"]).arg(path),
        };
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(self.directory.path())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a log file"))
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| missing("redis-server", &error));
        // Whoever answers must be this process, and not another test's that was faster to listen.
        let process_id = child.id().to_string();
        let process = self.process.insert(Process::new(child));
        let answers_or_died = poll(async || {
            let reply = self.address.ask(&["INFO", "server"]).await;
            let answers =
                reply.is_ok_and(|reply| fields(&reply).get("process_id") == Some(&process_id));
            answers
                .then_some(true)
                .or(process.has_exited().then_some(false))
        });
        if answers_or_died.await == Some(true) {
            return Ok(());
        }
        self.process = None;
        Err(fs::read_to_string(log).unwrap_or_default())
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server was killed")
    }
}

/// A port nobody listens on now.
///
/// Not one the system would choose: those are the source ports of connections as well, so another
/// connection could take the port while its server is down. A client that tries to reconnect could
/// even meet itself there.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = PORTS.start + (RandomState::new().hash_one(()) % PORTS.len() as u64) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Asks again and again until there is an answer; `None` if there is none in time.
///
/// A foreign process tells nobody when it is ready, so it has to be asked.
async fn poll<T>(mut question: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let answered = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(POLL_PERIOD).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.ok()
}

/// Below the ephemeral ports of Linux (32768) and of everybody else (49152).
const PORTS: Range<u16> = 12_000..32_000;

/// For what takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const POLL_PERIOD: Duration = Duration::from_millis(5);
