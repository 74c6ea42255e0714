//! The plugin host: see [`tower_plugin_examples::host`].

use std::{
    env,
    error::Error,
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use tokio::net::TcpListener;
use tower_plugin_core::SystemClock;
use tower_plugin_examples::host::{
    Banner, HostState, Options, build,
    options::{REDIS_VARIABLE, RedisUrl, SECRET_VARIABLE},
    serve,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plugin-host: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    let (listen, bounds) = (options.listen, options.bounds());
    options.redis.environment = variable(REDIS_VARIABLE)?
        .map(|url| url.parse::<RedisUrl>())
        .transpose()?;
    let (config, secret) = options.into_config(variable(SECRET_VARIABLE)?)?;
    let redis = config.redis.clone();
    let state = Arc::new(HostState::new(config, Arc::new(SystemClock::new()))?);
    state.meet_redis().await;
    let app = build(&state);

    // Before anyone is told where the host is: a signal must not end it the hard way from then on.
    let shutdown = shutdown()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("--listen {listen}: {error}"))?;
    let banner = Banner {
        address: listener.local_addr()?,
        secret: &secret,
        redis: redis.as_ref(),
    };
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{banner}")?;
    stdout.flush()?;
    drop(stdout);
    drop((secret, redis));
    serve(listener, app, state.readiness(), bounds, shutdown).await?;
    Ok(())
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error @ env::VarError::NotUnicode(_)) => {
            // Its own message would print the value.
            drop(error);
            Err(format!("{name} is not UTF-8"))
        }
    }
}

#[cfg(unix)]
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
