use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use tower_plugin_auth::{Principal, SystemRng, authenticate::ApiKeys};
use tower_plugin_ratelimit::Quota;
use zeroize::Zeroizing;

use super::{OptionsError, secret_file};

/// A listener for who runs the host.
///
/// Its token comes from the environment variable PLUGIN_HOST_ADMIN_TOKEN or from a file.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Administration")]
pub struct AdminOptions {
    /// Serve a status page, /metrics and /admin here, e.g. on 127.0.0.1:9090. Without this nothing of it
    /// is served. Who calls needs the token in PLUGIN_HOST_ADMIN_TOKEN or --admin-token-file.
    #[arg(id = "admin_listen", long = "admin-listen", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Regular file that holds the administrator's token: 16 to 512 visible ASCII characters.
    #[arg(long = "admin-token-file", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The value of [`ADMIN_TOKEN_VARIABLE`], if it is set.
    #[arg(skip)]
    pub environment: Option<AdminToken>,

    /// How many wrong tokens one client address may try.
    #[arg(long = "admin-quota", value_name = "QUOTA", default_value = "10/m:20")]
    pub quota: Quota,

    /// Serve it with the certificate of --tls-cert; needed where other machines can reach it.
    #[arg(long)]
    pub admin_tls: bool,

    /// Serve /metrics on the main listener, too, to everyone.
    #[arg(long)]
    pub public_metrics: bool,
}

/// A token that is erased when dropped and hidden from `Debug`.
#[derive(Clone)]
pub struct AdminToken(Zeroizing<String>);

/// A listener for who runs the host.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Where it is.
    pub listen: SocketAddr,
    /// Who may call: keyed digests of tokens, not the tokens.
    pub keys: ApiKeys,
    /// How many wrong tokens one client address may try.
    pub quota: Quota,
    /// Whether it is served with the host's certificate.
    pub tls: bool,
}

/// The environment variable that may hold the administrator's token.
pub const ADMIN_TOKEN_VARIABLE: &str = "PLUGIN_HOST_ADMIN_TOKEN";
const TOKEN_FILE: &str = "--admin-token-file";

impl AdminOptions {
    pub(super) fn config(&self, has_tls: bool) -> Result<Option<AdminConfig>, OptionsError> {
        let Some(listen) = self.listen else {
            // The variable may be there for another copy.
            return match (&self.token_file, self.admin_tls) {
                (None, false) => Ok(None),
                _ => Err(OptionsError::NoAdmin(
                    "--admin-token-file and --admin-tls need --admin-listen",
                )),
            };
        };
        if self.admin_tls && !has_tls {
            return Err(OptionsError::NoTls("--admin-tls"));
        }
        if !self.admin_tls && !listen.ip().is_loopback() {
            return Err(OptionsError::AdminInClear);
        }
        let (origin, token) = match (&self.environment, &self.token_file) {
            (Some(token), None) => (ADMIN_TOKEN_VARIABLE, token.0.clone()),
            (None, Some(path)) => (TOKEN_FILE, secret_file::read(TOKEN_FILE, path)?),
            (Some(_), Some(_)) => return Err(OptionsError::AmbiguousAdmin),
            (None, None) => {
                return Err(OptionsError::NoAdmin(
                    "--admin-listen needs a token in PLUGIN_HOST_ADMIN_TOKEN or --admin-token-file",
                ));
            }
        };
        let admin = Principal::new("admin", "admin");
        let keys = ApiKeys::new([(token.trim_end_matches(['\r', '\n']), admin)], &SystemRng)
            .map_err(|error| OptionsError::AdminToken(origin, error))?;
        Ok(Some(AdminConfig {
            listen,
            keys,
            quota: self.quota,
            tls: self.admin_tls,
        }))
    }
}

// What it says is not looked at here: whoever finds a fault in it would print it.
impl FromStr for AdminToken {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}
