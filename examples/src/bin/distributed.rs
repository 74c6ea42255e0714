//! Two axum servers on two ports, one Redis: a burst of requests to both, and what each admitted.
//!
//! `cargo run --release --bin distributed`, with a Redis on this machine.

use std::error::Error;

use clap::Parser;
use tower_plugin_examples::distributed::{compare, sizing};

/// Shows that two servers on one Redis admit what one quota allows.
#[derive(Parser)]
struct Arguments {
    /// The address of Redis.
    #[arg(long, default_value = "redis://127.0.0.1:6379")]
    redis: String,

    /// How many requests each server gets, or how many decisions each row of `--sizing` is of; 10,000 or 100,000 if
    /// nothing is said.
    #[arg(long, value_name = "COUNT")]
    requests: Option<u32>,

    /// Measure what a decision costs Redis instead; nobody else should use it meanwhile.
    #[arg(long)]
    sizing: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let url = &arguments.redis;
    if arguments.sizing {
        let decisions = arguments.requests.unwrap_or(100_000) as usize;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        print!("{}", runtime.block_on(sizing(url, decisions))?);
        return Ok(());
    }
    let requests = arguments.requests.unwrap_or(10_000).into();
    let runtime = tokio::runtime::Runtime::new()?;
    let comparison = runtime.block_on(compare(url, requests))?;
    print!("{comparison}");
    for outcome in [&comparison.exact, &comparison.leased] {
        if outcome.together() > outcome.allowed {
            return Err("more was admitted than the quota allows".into());
        }
    }
    Ok(())
}
