use std::{fmt, io, path::PathBuf};

/// Files that make no TLS server. What they hold is never repeated.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The flag that names a file, and why that cannot be read.
    File(&'static str, PathBuf, io::Error),
    /// A file without what it is for: its flag, and what that is.
    Empty(&'static str, PathBuf, &'static str),
    /// Certificates and key do not make a server: they do not belong together, or are of a kind that is
    /// not supported.
    Mismatch(rustls::Error),
    /// The authorities cannot be used.
    ClientCa(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(flag, path, error) => write!(f, "{flag} {}: {error}", path.display()),
            Self::Empty(flag, path, what) => {
                write!(f, "{flag} {} holds no {what} in PEM", path.display())
            }
            Self::Mismatch(error) => {
                write!(f, "--tls-cert and --tls-key do not make a server: {error}")
            }
            Self::ClientCa(error) => write!(f, "--tls-client-ca: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
