//! A server behind all layers under the load of many connections and principals:
//! `cargo run --release -p tower-plugin-benches --bin load -- --help`.

use std::{error::Error, process::ExitCode, time::Duration};

use clap::Parser;
use tower_plugin_benches::load::{self, Load};

/// Loads an axum server behind all layers, in a process of its own on the loopback interface, and checks
/// that it answers what it should and that its memory stays what it was.
#[derive(Parser)]
struct Arguments {
    /// How long, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Connections at the same time, each with one request under way.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Principals, each with a token of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    principals: u32,
    /// Be the server.
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let principals = arguments.principals as usize;
    if arguments.serve {
        load::serve(principals)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = load::run(Load {
        duration: Duration::from_secs(arguments.seconds),
        connections: arguments.connections.into(),
        principals,
    })?;
    println!("{report}");
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
