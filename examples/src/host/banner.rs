//! What the host says when it starts: a script of comments and commands that works as pasted.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    admission::PUBLIC_COOKIE,
    options::{RedisConfig, SecretSource, WithoutRedis},
    tls::Tls,
};

/// The text, for one host and one way to be admitted.
#[derive(Debug)]
pub struct Banner<'a> {
    /// Where the host listens.
    pub address: SocketAddr,
    /// Where the admission secret comes from.
    pub secret: &'a SecretSource,
    /// Where quotas are kept, if not in this process.
    pub redis: Option<&'a RedisConfig>,
    /// What is served there, if not in clear.
    pub tls: Option<&'a Tls>,
    /// Whether grants are bound to the plugins that ask for them.
    pub bound_grants: bool,
    /// Whether the plugin of the script may register and call its service.
    pub is_script_allowed: bool,
    /// Where the administration is, and whether it is served with TLS.
    pub admin: Option<(SocketAddr, bool)>,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = url(self.address, self.tls.is_some());
        writeln!(f, "# plugin-host listens on {url}")?;
        if let Some((address, is_encrypted)) = self.admin {
            let admin = self::url(address, is_encrypted);
            writeln!(f, "# Status page, /metrics and /admin: {admin}")?;
        }
        let mut curl = String::from("curl");
        if let Some(tls) = self.tls {
            writeln!(f, "# Who signed the host's certificate, in PEM:")?;
            writeln!(
                f,
                ": \"${{PLUGIN_HOST_CA:?set it to the path of that file}}\""
            )?;
            curl += " --http1.1 --cacert \"$PLUGIN_HOST_CA\"";
            if tls.requires_client_certificate() {
                writeln!(f, "# Your own certificate and the key to it:")?;
                writeln!(f, ": \"${{PLUGIN_CERT:?}}\" \"${{PLUGIN_KEY:?}}\"")?;
                curl += " --cert \"$PLUGIN_CERT\" --key \"$PLUGIN_KEY\"";
            }
        }
        if let Some(redis) = self.redis {
            write!(
                f,
                "# All copies on the same Redis enforce one limit and know the same tokens"
            )?;
            if let Some(percent) = redis.leases {
                write!(f, ", leasing {percent} % of each burst")?;
            }
            writeln!(
                f,
                "; without Redis: {}.",
                WithoutRedis(redis.on_unavailable)
            )?;
        }
        match self.secret {
            SecretSource::Generated(secret) => {
                writeln!(
                    f,
                    "# A plugin is admitted by this secret, made for this run and shown only here:"
                )?;
                writeln!(f, "PLUGIN_HOST_BOOTSTRAP_SECRET='{}'", secret.expose())?;
            }
            SecretSource::Environment => {
                writeln!(f, "# A plugin is admitted by the secret in this variable:")?;
                writeln!(
                    f,
                    ": \"${{PLUGIN_HOST_BOOTSTRAP_SECRET:?set it as it was set for the host}}\""
                )?;
            }
            SecretSource::File(path) => {
                writeln!(f, "# A plugin is admitted by the secret in this file:")?;
                writeln!(
                    f,
                    "PLUGIN_HOST_BOOTSTRAP_SECRET=$(cat {})",
                    quoted(&path.to_string_lossy())
                )?;
            }
            SecretSource::Configured(path) => {
                let path = path.to_string_lossy();
                writeln!(
                    f,
                    "# Who is admitted, {} says. The secret, if it asks for one:",
                    quoted(&path)
                )?;
                writeln!(
                    f,
                    ": \"${{PLUGIN_HOST_BOOTSTRAP_SECRET?set it, if to nothing}}\""
                )?;
            }
            SecretSource::Public => {
                writeln!(f, "# Admission is open: everyone knows this secret.")?;
                writeln!(f, "PLUGIN_HOST_BOOTSTRAP_SECRET='{PUBLIC_COOKIE}'")?;
            }
        }
        if !self.is_script_allowed {
            writeln!(
                f,
                "# This host does not let {PLUGIN} register and call {SERVICE} as below does. It would with"
            )?;
            writeln!(f, "# --allow-register {RULE} --allow-call {RULE}")?;
        }
        let grant = if self.bound_grants {
            BOUND
        } else {
            r#""Authorization: Bearer $GRANT_TOKEN""#
        };
        let script = SCRIPT.replace("{url}", &url).replace("{curl}", &curl);
        f.write_str(&script.replace("{grant}", grant))
    }
}

/// Where the host is, for who is on the same machine if it listens on all of its addresses.
pub(super) fn url(address: SocketAddr, is_encrypted: bool) -> String {
    let scheme = if is_encrypted { "https" } else { "http" };
    format!("{scheme}://{}", reachable(address))
}

// An unspecified address is not one to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What the plugin of the script calls itself.
pub(super) const PLUGIN: &str = "curl";
/// The type of the service it registers and calls.
pub(super) const SERVICE: &str = "logger";
/// The rule that lets it.
pub(super) const RULE: &str = "curl=logger";
/// Who calls, and the grant beside it.
const BOUND: &str = r#""X-Plugin-Grant: $GRANT_TOKEN" -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN""#;

// The secret goes through a pipe: an argument would show in the list of processes.
const SCRIPT: &str = r#"# Handshake: the answer holds who you are and the token that proves it.
ANSWER=$(printf '{"coreProtocolVersion":1,"appProtocolVersion":1,"magicCookieKey":"CONNECT_PLUGIN","magicCookieValue":"%s","selfId":"curl"}' "$PLUGIN_HOST_BOOTSTRAP_SECRET" | {curl} -fsS -H 'Content-Type: application/json' --data @- {url}/connectplugin.v1.HandshakeService/Handshake)
RUNTIME_ID=$(printf '%s' "$ANSWER" | sed -n 's/.*"runtimeId": *"\([^"]*\)".*/\1/p')
RUNTIME_TOKEN=$(printf '%s' "$ANSWER" | sed -n 's/.*"runtimeToken": *"\([^"]*\)".*/\1/p')
# Register a service, discover it, report health:
{curl} -fsS -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"serviceType":"logger","version":"1.0.0","endpointPath":"/logger.v1.Logger/"}' {url}/connectplugin.v1.ServiceRegistry/RegisterService; echo
{curl} -fsS -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"serviceType":"logger","minVersion":"1.0.0"}' {url}/connectplugin.v1.ServiceRegistry/DiscoverService; echo
{curl} -fsS -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"state":"HEALTH_STATE_HEALTHY"}' {url}/connectplugin.v1.PluginLifecycle/ReportHealth; echo
# Ask for a capability, and write to the host's log with nothing but the grant:
GRANT=$({curl} -fsS -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"capabilityType":"logger","minVersion":"1.0.0","reason":"to try it"}' {url}/connectplugin.v1.CapabilityBroker/RequestCapability)
GRANT_URL=$(printf '%s' "$GRANT" | sed -n 's/.*"endpointUrl": *"\([^"]*\)".*/\1/p')
GRANT_TOKEN=$(printf '%s' "$GRANT" | sed -n 's/.*"bearerToken": *"\([^"]*\)".*/\1/p')
{curl} -fsS -H 'Content-Type: application/json' -H {grant} --data '{"level":"info","message":"hello from curl"}' "$GRANT_URL/capability.logger.v1.Logger/Log"; echo
# Meet the rate limit: register again until the answer is 429 and says in how many seconds to come back.
for n in 1 2 3 4 5 6 7 8 9 10; do HEAD=$({curl} -sS -o /dev/null -D - -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $RUNTIME_TOKEN" --data '{"serviceType":"logger","version":"1.0.0","endpointPath":"/logger.v1.Logger/"}' {url}/connectplugin.v1.ServiceRegistry/RegisterService | tr -d '\r'); printf '%s\n' "$HEAD" | sed -n -e '/^HTTP/p' -e '/^[Rr]etry-[Aa]fter/p'; case "$HEAD" in "HTTP/1.1 429"*) break;; esac; done
"#;
