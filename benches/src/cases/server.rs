//! A server of this run's own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use redis::Client;

/// Killed when it is dropped.
pub(super) struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    /// A server that keeps nothing, on a socket in a directory of its own.
    pub(super) fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("compare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(directory.join("redis.sock"))
            .arg("--dir")
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("needs redis-server: apt-get install redis-server");
        let server = Self { process, directory };
        while server.client().get_connection().is_err() {
            std::thread::yield_now();
        }
        server
    }

    pub(super) fn url(&self) -> String {
        let socket = self.directory.join("redis.sock");
        format!("redis+unix://{}", socket.display())
    }

    pub(super) fn client(&self) -> Client {
        Client::open(self.url()).expect("an address")
    }

    /// How many scripts it has run.
    pub(super) fn scripts(&self) -> u64 {
        let mut connection = self.client().get_connection().expect("a connection");
        let figures: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut connection)
            .expect("figures");
        let calls = |line: &str| {
            let figures = line.strip_prefix("cmdstat_eval")?;
            let (_, calls) = figures.split_once("calls=")?;
            calls.split(',').next()?.parse::<u64>().ok()
        };
        figures.lines().filter_map(calls).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
