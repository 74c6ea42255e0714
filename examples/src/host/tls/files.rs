use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{ClientAuth, TlsConfig, TlsError};
use crate::{
    host::options::secret_file::{EXPOSED, is_exposed},
    regular_file,
};

/// What the files hold at one moment; erased when dropped.
pub(super) struct Files {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

impl Files {
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(CERT, &config.cert, false)?,
            key: read(KEY, &config.key, true)?,
            client_ca: match &config.client_ca {
                Some(path) => Some(read(CLIENT_CA, path, false)?),
                None => None,
            },
        })
    }

    /// The same for the same files, and for no others.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let nothing = Zeroizing::default();
        for file in [
            &self.cert,
            &self.key,
            self.client_ca.as_ref().unwrap_or(&nothing),
        ] {
            // The length keeps them apart.
            hash.update((file.len() as u64).to_be_bytes());
            hash.update(&**file);
        }
        hash.finalize().into()
    }

    pub(super) fn server_config(&self, config: &TlsConfig) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            // All that rustls has; said, so that it stays so.
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Mismatch)?;
        let builder = match (&self.client_ca, &config.client_ca) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(CLIENT_CA, path, pem)? {
                    roots
                        .add(authority)
                        .map_err(|error| TlsError::ClientCa(error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match config.client_auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    ClientAuth::Required => verifier,
                };
                let verifier = verifier.build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| TlsError::ClientCa(error.to_string()))?,
                )
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(CERT, &config.cert, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::Empty(KEY, config.key.clone(), "private key"))?;
        let mut server = builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Mismatch)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(server)
    }
}

fn certificates(
    flag: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Empty(flag, path.to_owned(), "certificate")),
    }
}

fn read(flag: &'static str, path: &Path, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |error| TlsError::File(flag, path.to_owned(), error);
    let file = regular_file::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if is_secret && is_exposed(&metadata) {
        return Err(failed(io::Error::other(EXPOSED)));
    }
    // Room for all that may be, so that no copy is left behind where it was smaller.
    let size = metadata.len().min(MAX_FILE) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(io::Error::other("more than 1 MiB")));
    }
    Ok(bytes)
}

const CERT: &str = "--tls-cert";
const KEY: &str = "--tls-key";
const CLIENT_CA: &str = "--tls-client-ca";
const MAX_FILE: u64 = 1024 * 1024;
