//! Asking a server with `redis-cli`, which has nothing to do with what is tested.

use std::{collections::BTreeMap, io, path::PathBuf, process::Stdio};

use tokio::{process::Command, time::timeout};

use super::PATIENCE;

#[derive(Clone, Debug)]
pub(super) enum Address {
    Port(u16),
    Socket(PathBuf),
}

impl Address {
    pub(super) async fn ask(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        match self {
            Self::Port(port) => command.args(["-h", "127.0.0.1", "-p", &port.to_string()]),
            Self::Socket(path) => command.arg("-s").arg(path),
        };
        // `-e`: an error is an exit code, and not a reply like another.
        command.args(["-e", "--raw"]).args(args);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let Ok(output) = timeout(PATIENCE, command.output()).await else {
            return Err("no reply in time".to_owned());
        };
        let output = output.unwrap_or_else(|error| missing("redis-cli", &error));
        let reply = String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned();
        if output.status.success() {
            return Ok(reply);
        }
        Err(reply + String::from_utf8_lossy(&output.stderr).trim_end())
    }
}

/// The lines `field:value` of a reply.
pub(super) fn fields(reply: &str) -> BTreeMap<String, String> {
    let lines = reply.lines().filter_map(|line| line.split_once(':'));
    let owned = |(field, value): (&str, &str)| (field.to_owned(), value.trim_end().to_owned());
    lines.map(owned).collect()
}

pub(super) fn missing(program: &str, error: &io::Error) -> ! {
    panic!("{program}: {error}; `apt-get install redis-server` installs it, and so does `./test`")
}
