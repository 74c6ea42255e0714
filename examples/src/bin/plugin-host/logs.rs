use std::io::{self, IsTerminal};

use tower_plugin_examples::host::options::LogFormat;
use tracing_subscriber::EnvFilter;

/// Log lines go to standard error; which ones, `RUST_LOG` says.
pub(super) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
    }
}
