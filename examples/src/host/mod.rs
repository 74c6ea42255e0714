//! The plugin host: a server for connect-plugin-go's wire protocol behind the tower-plugin layers.
//!
//! [`HostState`] is what the services share, [`build`] puts the layers in front of them, and
//! [`serve`] runs the result on a [`HostState::listener`].
//! [`config::Settings`] reads the command line, and [`admin::build`] is what an operator calls.

use connectrpc::{ConnectError, ErrorCode};

mod accept;
pub mod admin;
pub mod admission;
mod allowed;
mod audit;
mod banner;
mod broker;
pub mod capabilities;
pub mod config;
mod directory;
mod error;
pub mod fields;
mod gaps;
mod guard;
mod handshake;
mod housekeeping;
mod identity;
mod lifecycle;
mod limits;
mod logger;
mod managed;
mod metrics;
pub mod options;
mod own_words;
mod proxy;
pub mod registry;
mod rotate;
mod rpc;
mod serve;
mod service_registry;
mod stack;
mod state;
mod steps;
mod stores;
pub mod tls;
mod unread;
mod watch;

pub use banner::Banner;
pub use broker::EXPIRES_AT as GRANT_EXPIRES_AT;
pub use capabilities::HostCapability;
pub use error::HostError;
pub use guard::{BODY_TIMEOUT, MAX_BODY};
pub use handshake::{APP_PROTOCOL_VERSION, CORE_PROTOCOL_VERSION};
pub use limits::Quotas;
pub use logger::logger;
pub use managed::Managed;
pub use metrics::{Telemetry, Upkeep};
pub use options::{Config, Options, RedisConfig};
pub use proxy::{InvalidProvider, ProviderUrl, ProxyOptions};
pub use serve::{Bounds, Connections, Listener, MAX_CONNECTIONS, Readiness, serve};
pub use stack::{build, build_watched, build_with};
pub use state::HostState;

// A field's name and rule may be told; its value never is.
fn invalid_field(error: fields::InvalidField) -> ConnectError {
    own_words::refuse(ErrorCode::InvalidArgument, error.to_string())
}
