use std::{
    env,
    io::{self, Read, Write},
    net::SocketAddr,
    process::{self, ChildStdout, Command, Stdio},
    thread,
};

use tokio::net::TcpListener;

use super::Failure;
use crate::stack::{self, Limits};

/// The server in a process of its own; it ends when this is dropped.
pub(super) struct Child(process::Child);

impl Child {
    pub(super) fn start(principals: usize) -> io::Result<Self> {
        let child = Command::new(env::current_exe()?)
            .args(["--serve", "--principals", &principals.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    /// What it says: its address, and a token a line.
    pub(super) fn output(&mut self) -> Result<ChildStdout, Failure> {
        Ok(self.0.stdout.take().ok_or("the server says nothing")?)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves until the input ends: what [`run`](super::run) starts this program for.
///
/// # Errors
///
/// If there is no free port, or no room for the tokens.
pub fn serve(principals: usize) -> Result<(), Failure> {
    // Whoever started this has gone if nobody holds the other end.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (tokens, texts) = stack::issue(principals).await?;
        let limits = Limits {
            per_principal: "10/s:20".parse()?,
            principals,
            ..Limits::plenty()
        };
        let app = stack::guarded_axum(&tokens, limits);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?)?;
        for text in texts {
            writeln!(out, "{text}")?;
        }
        out.flush()?;
        drop(out);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        Ok(axum::serve(listener, app).await?)
    })
}
