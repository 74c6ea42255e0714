use std::{borrow::Cow, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, Entry},
};

use super::AuthError;
use crate::{
    config::InvalidConfig,
    refusal::{BEARER, is_tchar},
};

/// Where in a request a credential stands: a header, and the scheme its value starts with, if any.
///
/// ```
/// use tower_plugin_auth::authenticate::CredentialHeader;
///
/// // X-Custom-Auth: Token my-custom-token
/// let header = CredentialHeader::new("x-custom-auth".parse()?).with_scheme("Token")?;
/// # let _ = header;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CredentialHeader {
    name: HeaderName,
    scheme: Option<Scheme>,
}

/// A clone of the one that nearly all use counts nothing: a service is cloned for every request.
#[derive(Clone, Debug)]
enum Scheme {
    Bearer,
    Other(Arc<str>),
}

impl Scheme {
    fn as_str(&self) -> &str {
        match self {
            Self::Bearer => BEARER,
            Self::Other(scheme) => scheme,
        }
    }
}

impl CredentialHeader {
    /// `Authorization: Bearer CREDENTIAL` (RFC 6750, section 2.1).
    #[must_use]
    pub fn bearer() -> Self {
        Self {
            name: AUTHORIZATION,
            scheme: Some(Scheme::Bearer),
        }
    }

    /// A header whose whole value is the credential.
    #[must_use]
    pub const fn new(name: HeaderName) -> Self {
        Self { name, scheme: None }
    }

    /// Expects the value to start with this word, in any case, and a space. A value that starts with
    /// another is taken for no credential at all.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless it is 1 to 32 characters of a token (RFC 9110, section 5.6.2).
    pub fn with_scheme(mut self, scheme: &str) -> Result<Self, InvalidConfig> {
        if !(1..=32).contains(&scheme.len()) || !scheme.bytes().all(is_tchar) {
            return Err(InvalidConfig::new(
                "scheme",
                "1 to 32 letters, digits and characters of \"!#$%&'*+-.^_`|~\"",
            ));
        }
        self.scheme = Some(Scheme::Other(scheme.into()));
        Ok(self)
    }

    /// The one credential; it may be empty.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Result<&'a [u8], AuthError> {
        let value = at_most_one(headers, &self.name)?.ok_or(AuthError::Missing)?;
        let Some(scheme) = self.scheme.as_ref().map(Scheme::as_str) else {
            return Ok(value.as_bytes().trim_ascii());
        };
        let Some((sent, rest)) = value.as_bytes().split_at_checked(scheme.len()) else {
            return Err(AuthError::Missing);
        };
        match rest {
            _ if !sent.eq_ignore_ascii_case(scheme.as_bytes()) => Err(AuthError::Missing),
            [] => Ok(rest),
            [b' ', ..] => Ok(rest.trim_ascii_start()),
            _ => Err(AuthError::Missing),
        }
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.name
    }

    #[cfg(feature = "client")]
    pub(crate) fn scheme(&self) -> Option<&str> {
        self.scheme.as_ref().map(Scheme::as_str)
    }

    pub(super) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        mark_sensitive(headers, &self.name);
    }

    /// The scheme to name in a challenge. A header other than `Authorization` has none registered;
    /// `ApiKey` is what is commonly sent.
    pub(crate) fn challenge(&self) -> Cow<'static, str> {
        match self.scheme.as_ref().map(Scheme::as_str) {
            Some(BEARER) if self.name == AUTHORIZATION => Cow::Borrowed(BEARER),
            Some(scheme) if self.name == AUTHORIZATION => Cow::Owned(scheme.to_owned()),
            _ => Cow::Borrowed("ApiKey"),
        }
    }
}

pub(super) fn at_most_one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(AuthError::InvalidRequest),
    }
}

pub(super) fn mark_sensitive(headers: &mut HeaderMap, name: &HeaderName) {
    let Some(first) = headers.get_mut(name) else {
        return;
    };
    first.set_sensitive(true);
    // Hardly any request has a header of several values, and `entry` makes room for one more header before
    // it looks.
    if headers.len() > headers.keys_len()
        && headers.get_all(name).iter().nth(1).is_some()
        && let Entry::Occupied(mut values) = headers.entry(name)
    {
        for value in values.iter_mut() {
            value.set_sensitive(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_header_is_marked_and_the_map_does_not_grow() {
        for count in 0..4 {
            let mut headers = HeaderMap::new();
            headers.insert("x-other", HeaderValue::from_static("a"));
            for _ in 0..count {
                headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
            }
            let capacity = headers.capacity();
            mark_sensitive(&mut headers, &AUTHORIZATION);

            let mut values = headers.get_all(AUTHORIZATION).iter();
            assert!(values.all(HeaderValue::is_sensitive), "{count}");
            assert!(!headers["x-other"].is_sensitive());
            assert_eq!(headers.len(), 1 + count);
            assert_eq!(headers.capacity(), capacity);
        }
    }
}
