use std::{borrow::Cow, fmt, future::Ready, sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tower_plugin_core::{Clock, Principal, RequestHead, SystemClock};

use super::{AuthError, Authenticator, CredentialProblem};
use crate::{Answer, TlsInfo, transport::connection};

mod identity;

pub use identity::{Identity, IdentitySource, identify};

/// Accepts whoever proved in the TLS handshake to hold a certificate, by the name in it.
///
/// **The server's TLS layer does the proving**: configure it to ask for client certificates and to verify
/// them against authorities of yours (rustls: `WebPkiClientVerifier`, tonic: `client_ca_root`). This reads the
/// name from what was verified. A request on a connection without a client certificate, or without TLS, has no
/// credential; no header is ever looked at.
///
/// The certificate is found in, by feature, `axum::extract::ConnectInfo<TlsInfo>` (`axum`), tonic's
/// `TlsConnectInfo` (`tonic`), or [`TlsInfo`](crate::TlsInfo) in the request's extensions, put there by
/// whoever accepts connections.
///
/// | The certificate has | kind | subject |
/// |---|---|---|
/// | one URI among its alternative names | `mtls-uri` | the URI, e.g. `spiffe://prod.example/cache` |
/// | else a DNS name among them | `mtls-dns` | the first, in lower case |
/// | neither, and one common name | `mtls-cn` | the common name |
///
/// Each has a kind of its own, so that no common name can pass for a DNS name. The attribute `x5t#S256` holds
/// the thumbprint of the certificate (RFC 8705, section 3.1). Refused are certificates with several
/// URIs or, where it counts, several common names, with a SPIFFE id that is none (X509-SVID, section 2), of
/// authorities, and those not valid *now*: a connection may outlive the certificate it was opened with.
///
/// A certificate of any other shape is for a closure: [`from_fn`](super::from_fn) around
/// [`TlsInfo`](crate::TlsInfo) and [`identify`].
///
/// ```
/// use tower_plugin_auth::{AuthLayer, authenticate::MtlsAuthenticator};
///
/// let layer = AuthLayer::new(MtlsAuthenticator::new());
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct MtlsAuthenticator {
    clock: Arc<dyn Clock>,
}

impl MtlsAuthenticator {
    /// Reads the time from the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](crate::ManualClock).
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for MtlsAuthenticator {
    fn default() -> Self {
        Self::new()
    }
}

impl Authenticator for MtlsAuthenticator {
    type Future = Ready<Result<Principal, AuthError>>;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        let principal = connection::with_client_certificate(request.extensions, |der| {
            let der = der.ok_or(AuthError::Missing)?;
            Ok(principal(der, self.clock.wall())?)
        });
        Answer::Ready(principal)
    }

    /// None is registered for what happens below HTTP; a 401 has to name one all the same (RFC 9110,
    /// section 15.5.2).
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![Cow::Borrowed("ClientCertificate")]
    }

    fn waits_only_for_credentials(&self) -> bool {
        true
    }
}

/// Who is at the other end of a connection, where there is no request yet: what [`MtlsAuthenticator`] would say.
/// `None` if the client has shown no certificate.
///
/// # Errors
///
/// [`CredentialProblem`] as [`identify`] has it.
pub fn peer(tls: &TlsInfo, now: SystemTime) -> Result<Option<Principal>, CredentialProblem> {
    let own = tls.client_certificates().next();
    own.map(|der| principal(der, now)).transpose()
}

fn principal(der: &[u8], now: SystemTime) -> Result<Principal, CredentialProblem> {
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
    Ok(identify(der, now)?
        .into_principal()
        .with_attribute("x5t#S256", thumbprint))
}

impl fmt::Debug for MtlsAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsAuthenticator").finish_non_exhaustive()
    }
}
