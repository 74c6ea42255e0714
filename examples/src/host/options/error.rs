use std::{fmt, io, path::PathBuf};

use tower_plugin_auth::{InvalidConfig, authenticate::InvalidApiKeys};
use tower_plugin_validate::limits::InvalidLimit;

use super::{
    ADMIN_TOKEN_VARIABLE, AUDIT_KEYS_VARIABLE, REDIS_VARIABLE, SECRET_VARIABLE, TOKEN_KEYS_VARIABLE,
};
use crate::host::tls::TlsError;

/// A configuration that cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum OptionsError {
    /// What is wrong with `--admission-file`.
    AdmissionFile(String),
    /// An admin listener that others than this machine can reach, without TLS.
    AdminInClear,
    /// An unusable token of the administrator, and where it came from.
    AdminToken(&'static str, InvalidApiKeys),
    /// `--admission-file` beside another setting of admission.
    AmbiguousAdmission,
    /// More than one admission secret.
    Ambiguous,
    /// More than one token of the administrator.
    AmbiguousAdmin,
    /// Keys from both the flag and the variable of these names.
    AmbiguousKeys(&'static str, &'static str),
    /// More than one address of Redis.
    AmbiguousRedis,
    /// The flag that names a file, and why that cannot be read.
    File(&'static str, PathBuf, io::Error),
    /// What is in this place are no keys. It is not repeated.
    Keys(&'static str),
    /// A limit of what a request may be out of range.
    Limit(InvalidLimit),
    /// An admin listener and no token, or the other way round.
    NoAdmin(&'static str),
    /// Keys of an audit log, and no log.
    NoAudit,
    /// An audit log, and no keys.
    NoAuditKeys,
    /// Whom to believe of manifests, and no manifest.
    NoManifest,
    /// A manifest for a door that is open.
    OpenManifest,
    /// Redis, and no keys that other copies could have as well.
    NoKeys,
    /// Settings for Redis, and no address of it.
    NoRedis,
    /// A setting that needs TLS, and no certificate.
    NoTls(&'static str),
    /// A password on the command line.
    Password,
    /// No randomness to make a secret.
    Randomness,
    /// An address of Redis that is none. It is not repeated.
    Redis,
    /// An unusable secret, and where it came from.
    Secret(&'static str, InvalidConfig),
    /// A key that signs no manifest.
    TrustedKey(InvalidConfig),
    /// Files that make no TLS server.
    Tls(TlsError),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdmissionFile(error) => write!(f, "--admission-file: {error}"),
            Self::AdminInClear => f.write_str(
                "--admin-listen can be reached from other machines: add --admin-tls, or listen on loopback",
            ),
            Self::AdminToken(origin, cause) => match cause {
                // It counts its keys; here there is one.
                InvalidApiKeys::Malformed(_) => {
                    write!(f, "{origin} must be 16 to 512 visible ASCII characters")
                }
                cause => write!(f, "{origin}: {cause}"),
            },
            Self::AmbiguousAdmission => write!(
                f,
                "choose one of --admission-file and {SECRET_VARIABLE}, --bootstrap-secret-file, --open-admission, --manifest, --trusted-key, --trusted-author, --manifest-watermark: the file says it all"
            ),
            Self::Ambiguous => write!(
                f,
                "choose one of {SECRET_VARIABLE}, --bootstrap-secret-file and --open-admission: more than one is set"
            ),
            Self::AmbiguousAdmin => write!(
                f,
                "choose one of {ADMIN_TOKEN_VARIABLE} and --admin-token-file: both are set"
            ),
            Self::AmbiguousKeys(flag, variable) => {
                write!(f, "choose one of {variable} and {flag}: both are set")
            }
            Self::AmbiguousRedis => write!(
                f,
                "choose one of {REDIS_VARIABLE}, --redis-url-file and --redis: more than one is set"
            ),
            Self::File(flag, path, error) => write!(f, "{flag} {}: {error}", path.display()),
            Self::Keys(origin) => write!(
                f,
                "{origin} must hold keys, one a line: a number, each another, a space and 64 hexadecimal digits"
            ),
            Self::Limit(limit) => limit.fmt(f),
            Self::NoAdmin(what) => f.write_str(what),
            Self::NoAudit => f.write_str("--audit-key-file needs --audit-file"),
            Self::NoAuditKeys => write!(
                f,
                "--audit-file needs keys: set {AUDIT_KEYS_VARIABLE} or --audit-key-file, e.g. to \"1 $(openssl rand -hex 32)\""
            ),
            Self::NoManifest => f.write_str(
                "--trusted-key, --trusted-author and --manifest-watermark need --manifest",
            ),
            Self::OpenManifest => f.write_str(
                "--manifest needs an admission secret: with --open-admission everybody could say what the manifest lists",
            ),
            Self::NoKeys => write!(
                f,
                "with Redis, all copies need the same keys for tokens: set {TOKEN_KEYS_VARIABLE} or --token-key-file, e.g. to \"1 $(openssl rand -hex 32)\""
            ),
            Self::NoRedis => write!(
                f,
                "--redis-leases and --redis-on-unavailable need --redis, --redis-url-file or {REDIS_VARIABLE}"
            ),
            Self::NoTls(flag) => write!(f, "{flag} needs --tls-cert and --tls-key"),
            Self::Password => write!(
                f,
                "--redis is visible to every process of the machine: name an address with credentials in {REDIS_VARIABLE} or --redis-url-file"
            ),
            Self::Randomness => {
                f.write_str("the operating system has no randomness for an admission secret")
            }
            Self::Redis => f.write_str(
                "the address of Redis must be redis://HOST:PORT, rediss:// (with feature redis-tls) or redis+unix:///PATH",
            ),
            Self::Secret(origin, cause) => write!(f, "{origin}: {cause}"),
            Self::TrustedKey(cause) => write!(f, "--trusted-key: {cause}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OptionsError {}
