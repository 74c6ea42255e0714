use std::time::Duration;

use tower_plugin_validate::limits::Limits;

use super::{OptionsError, Span};
use crate::host::{Bounds, MAX_CONNECTIONS};

/// What connections are held to.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectionOptions {
    /// Connections at a time, 1 to 65536; more wait in the kernel's queue.
    #[arg(
        long = "connections",
        value_name = "COUNT",
        default_value = "4096",
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    pub most: u32,

    /// Connections of one client address at a time, 1 to 4096; a proxy in front is one address.
    #[arg(
        long = "connections-per-client",
        value_name = "COUNT",
        default_value = "256",
        value_parser = clap::value_parser!(u16).range(1..=MAX_CONNECTIONS as i64)
    )]
    pub per_client: u16,

    /// Close a connection on which nothing is asked for this long; 5s to 1h. Proxies commonly do so after a
    /// minute; better they than we, because they know whether they are about to use it.
    #[arg(
        id = "connection_idle",
        long = "connection-idle",
        value_name = "TIME",
        default_value = "75s",
        value_parser = Span::within(5, 3600)
    )]
    pub idle: Span,

    /// How long the head of a request may take to arrive; 1s to 1m.
    #[arg(
        long = "header-timeout",
        value_name = "TIME",
        default_value = "10s",
        value_parser = Span::within(1, 60)
    )]
    pub header_timeout: Span,

    /// How long a shutdown waits for what is in hand, as COUNT and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub drain: Span,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Deadlines")]
pub struct DeadlineOptions {
    /// How long a call may take whose caller says nothing of it; 1s to 1h.
    #[arg(
        long = "default-deadline",
        value_name = "TIME",
        default_value = "10s",
        value_parser = Span::within(1, 3600)
    )]
    pub default: Span,

    /// How long a call may take at most, whatever its caller says; 1s to 1h.
    #[arg(
        long = "max-deadline",
        value_name = "TIME",
        default_value = "30s",
        value_parser = Span::within(1, 3600)
    )]
    pub max: Span,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Where its caller says nothing of it.
    pub default: Duration,
    /// Whatever its caller says.
    pub max: Duration,
}

/// How large the head of a request may be; what is larger is refused before anything reads it.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits of a request's head")]
pub struct HeadOptions {
    /// Header fields.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    pub max_headers: usize,

    /// All header fields together, names, values and 32 for each, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "16384")]
    pub max_header_list: usize,

    /// The name of one, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "256")]
    pub max_header_name: usize,

    /// The value of one, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "4096")]
    pub max_header_value: usize,

    /// Fields of one name.
    #[arg(long, value_name = "COUNT", default_value = "16")]
    pub max_values_per_header: usize,

    /// The request target, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "8192")]
    pub max_uri: usize,

    /// The path, in bytes; that of a call to a plugin's service takes about 300.
    #[arg(long, value_name = "BYTES", default_value = "1024")]
    pub max_path: usize,

    /// Segments of the path.
    #[arg(long, value_name = "COUNT", default_value = "64")]
    pub max_path_segments: usize,

    /// One segment of the path, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "255")]
    pub max_path_segment: usize,

    /// The query, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "4096")]
    pub max_query: usize,

    /// Parameters of the query.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    pub max_query_params: usize,

    /// A declared body, in bytes; that of a call to a plugin's service, which is streamed, may be of any length.
    #[arg(long, value_name = "BYTES", default_value = "4194304")]
    pub max_declared_body: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(10),
            max: Duration::from_secs(30),
        }
    }
}

impl ConnectionOptions {
    pub(super) fn bounds(self) -> Bounds {
        Bounds {
            connections: usize::try_from(self.most).unwrap_or(usize::MAX),
            connections_per_client: self.per_client.into(),
            idle: self.idle.0,
            header_timeout: self.header_timeout.0,
            drain: self.drain.0,
        }
    }
}

impl DeadlineOptions {
    pub(super) fn config(self) -> Deadlines {
        Deadlines {
            default: self.default.0.min(self.max.0),
            max: self.max.0,
        }
    }
}

impl HeadOptions {
    pub(in crate::host) fn build(self) -> Result<Limits, OptionsError> {
        Limits::plugin()
            .to_builder()
            .header_count(self.max_headers)
            .header_list_bytes(self.max_header_list)
            .name_bytes(self.max_header_name)
            .value_bytes(self.max_header_value)
            .values_per_name(self.max_values_per_header)
            .uri_bytes(self.max_uri)
            .path_bytes(self.max_path)
            .path_segments(self.max_path_segments)
            .segment_bytes(self.max_path_segment)
            .query_bytes(self.max_query)
            .query_params(self.max_query_params)
            .declared_body(self.max_declared_body)
            .build()
            .map_err(OptionsError::Limit)
    }
}
