use std::{error::Error, fmt, future::Future, time::Duration};

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{authenticate::CredentialHeader, config::InvalidConfig};

/// Where tokens come from: a token endpoint, a file that something else keeps fresh, a handshake.
///
/// Implemented by closures that return a future.
#[diagnostic::on_unimplemented(
    note = "use a closure that returns a future of `Result<BearerToken, SomeError>`"
)]
pub trait TokenSource: Send + Sync + 'static {
    /// Why there is no token. Its `Display` is logged: it should not hold a secret.
    type Error: Into<Box<dyn Error + Send + Sync>>;
    /// A token on its way.
    type Future: Future<Output = Result<BearerToken, Self::Error>> + Send + 'static;

    /// Fetches a token. Never called again before the last one is done.
    ///
    /// # Errors
    ///
    /// The future ends in an error where there is no token to be had now.
    fn fetch(&self) -> Self::Future;
}

impl<F, Fut, E> TokenSource for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<BearerToken, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Error = E;
    type Future = Fut;

    fn fetch(&self) -> Fut {
        self()
    }
}

/// A token to be sent, and how long it is good for. It is wiped when dropped and not shown by `Debug`.
pub struct BearerToken {
    text: Zeroizing<String>,
    lifetime: Option<Duration>,
}

impl BearerToken {
    /// A token that is good for so long, counted from when it was asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless the text is 1 to 4096 visible ASCII characters. The error does not
    /// repeat it.
    pub fn new(text: &str, lifetime: Duration) -> Result<Self, InvalidConfig> {
        let mut token = Self::without_expiry(text)?;
        token.lifetime = Some(lifetime);
        Ok(token)
    }

    /// A token that is good until the server says otherwise.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn without_expiry(text: &str) -> Result<Self, InvalidConfig> {
        if !(1..=4096).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidConfig::new(
                "token",
                "1 to 4096 visible ASCII characters",
            ));
        }
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            lifetime: None,
        })
    }

    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The value of a header that presents it, marked sensitive.
    pub(super) fn header_value(&self, header: &CredentialHeader) -> HeaderValue {
        let text = match header.scheme() {
            Some(scheme) => Zeroizing::new(format!("{scheme} {}", *self.text)),
            None => self.text.clone(),
        };
        // Visible ASCII is always fit for a header.
        let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
