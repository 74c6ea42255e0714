//! A plugin's life at a host: it joins, offers a service, finds it, calls it through the host, watches it
//! go, is granted a capability, replaces its token, and meets every layer on the way.
//!
//! ```sh
//! # prints the secret to set
//! plugin-host --provider-network 127.0.0.0/8 --allow-register demo=demo --allow-call demo=demo
//! PLUGIN_HOST_BOOTSTRAP_SECRET=... plugin-demo --host http://127.0.0.1:8080
//! ```
//!
//! At a host that admits by a signed manifest (`plugin-host --manifest`), `--artifact` says what the plugin is
//! made of.

use std::{env, error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use http::Uri;
use tower_plugin_examples::host::options::SECRET_VARIABLE;

mod applicant;
mod capability;
mod host;
mod life;
mod provider;
mod rotation;

use applicant::Applicant;

/// Plays a plugin's life against a running plugin-host, and prints what each layer did.
///
/// The admission secret comes from the environment variable PLUGIN_HOST_BOOTSTRAP_SECRET. To be called
/// through the host, the demo serves a tiny provider on 127.0.0.1, which the host must be told to believe, as it
/// must be told who may offer and call it:
/// plugin-host --provider-network 127.0.0.0/8 --allow-register demo=demo --allow-call demo=demo.
#[derive(Debug, Parser)]
#[command(name = "plugin-demo", version)]
struct Options {
    /// Where the host is: http://HOST:PORT.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    host: Uri,

    /// What the plugin is made of, for a host that admits by manifest: its SHA-256 and size go with the
    /// handshake, and its name without extension is the plugin's. The manifest lists it as version 1.0.0.
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("plugin-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<bool, Box<dyn Error + Send + Sync>> {
    // The error of `env::var` would print a value that is not UTF-8.
    let secret = env::var(SECRET_VARIABLE)
        .map_err(|_| format!("set {SECRET_VARIABLE} to the secret the host was started with"))?;
    let mut applicant = Applicant::new(secret);
    if let Some(file) = &options.artifact {
        applicant = applicant
            .made_of(file)
            .map_err(|error| format!("--artifact {}: {error}", file.display()))?;
    }
    let host = host::Host::new(&options.host)?;
    life::live(&host, &applicant).await
}
