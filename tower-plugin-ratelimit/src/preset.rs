//! Quotas that have proved sensible for known sets of endpoints.

use tower_plugin_core::RequestHead;

use crate::{InvalidPolicy, InvalidQuota, Policy, PolicySource};

/// The endpoints of a connect-plugin-go host, each with a policy of its own; anything else shares one
/// of `1000/s:2000`.
///
/// | endpoint | quota |
/// |---|---|
/// | `Handshake`, `RequestCapability` | `10/s:20` |
/// | `RegisterService`, `UnregisterService` | `1/s:5` |
/// | `DiscoverService`, `/capabilities/...` | `100/s:200` |
/// | `WatchService` | `1/s:3` |
/// | `/services/...` | `1000/s:2000` |
///
/// ```
/// use tower_plugin_ratelimit::{ClientIp, RateLimitLayer, preset};
///
/// let layer = RateLimitLayer::new(preset::connect_plugin()?, ClientIp::peer());
/// # let _ = layer;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`InvalidPreset`], never: the quotas are constants, and a test builds them.
pub fn connect_plugin() -> Result<PolicySource, InvalidPreset> {
    let mut routes = Vec::with_capacity(ROUTES.len());
    for (prefix, name, quota) in ROUTES {
        routes.push((prefix, Policy::new(name, [quota.parse()?])?));
    }
    let otherwise = Policy::new("other", [OTHERWISE.parse()?])?;
    Ok(PolicySource::per_request(
        otherwise,
        move |request: &RequestHead<'_>| {
            let path = request.uri.path();
            let route = routes.iter().find(|(prefix, _)| path.starts_with(prefix));
            route.map(|(_, policy)| policy.clone())
        },
    ))
}

/// A preset that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidPreset {
    /// One of its policies cannot be.
    Policy(InvalidPolicy),
    /// One of its quotas cannot be.
    Quota(InvalidQuota),
}

impl From<InvalidPolicy> for InvalidPreset {
    fn from(invalid: InvalidPolicy) -> Self {
        Self::Policy(invalid)
    }
}

impl From<InvalidQuota> for InvalidPreset {
    fn from(invalid: InvalidQuota) -> Self {
        Self::Quota(invalid)
    }
}

impl std::fmt::Display for InvalidPreset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy(invalid) => invalid.fmt(f),
            Self::Quota(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for InvalidPreset {}

const OTHERWISE: &str = "1000/s:2000";
const ROUTES: [(&str, &str, &str); 8] = [
    (
        "/connectplugin.v1.HandshakeService/Handshake",
        "handshake",
        "10/s:20",
    ),
    (
        "/connectplugin.v1.ServiceRegistry/RegisterService",
        "register",
        "1/s:5",
    ),
    (
        "/connectplugin.v1.ServiceRegistry/UnregisterService",
        "unregister",
        "1/s:5",
    ),
    (
        "/connectplugin.v1.ServiceRegistry/DiscoverService",
        "discover",
        "100/s:200",
    ),
    (
        "/connectplugin.v1.ServiceRegistry/WatchService",
        "watch",
        "1/s:3",
    ),
    (
        "/connectplugin.v1.CapabilityBroker/RequestCapability",
        "request-capability",
        "10/s:20",
    ),
    ("/capabilities/", "capability", "100/s:200"),
    ("/services/", "router", "1000/s:2000"),
];
