use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{grant::GrantToken, token::SecretToken};

impl SecretToken {
    /// The value of an `Authorization` header that presents this token, marked sensitive so that
    /// HTTP/2 does not index it and `Debug` does not show it.
    ///
    /// ```
    /// use tower_plugin_auth::{SystemRng, token::{KeyRing, TokenKind, mint}};
    ///
    /// let keys = KeyRing::random(&SystemRng)?;
    /// let value = mint(TokenKind::Runtime, &keys, &SystemRng)?.into_token().header_value();
    /// assert!(value.is_sensitive());
    /// assert!(value.to_str()?.starts_with("Bearer tpr_"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        bearer(self.expose())
    }
}

impl GrantToken {
    /// The value of an `Authorization` header that presents this grant, marked sensitive so that
    /// HTTP/2 does not index it and `Debug` does not show it.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        bearer(self.expose())
    }
}

fn bearer(token: &str) -> HeaderValue {
    let text = Zeroizing::new(format!("Bearer {token}"));
    // The text of a token is ASCII, so this never falls back to a value nobody accepts.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}
