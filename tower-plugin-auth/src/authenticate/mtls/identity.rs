//! Engine: whom a certificate names.

use std::time::SystemTime;

use tower_plugin_core::Principal;
use x509_cert::{
    Certificate, TbsCertificate,
    der::{Decode, oid::ObjectIdentifier},
    ext::pkix::{
        BasicConstraints, KeyUsage, SubjectAltName,
        name::{DirectoryString, GeneralName},
    },
};

use crate::authenticate::CredentialProblem;

/// Whom a certificate names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    source: IdentitySource,
    name: Box<str>,
}

impl Identity {
    /// What in the certificate the name was taken from.
    #[must_use]
    pub fn source(&self) -> IdentitySource {
        self.source
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A principal of the kind that goes with the source.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        Principal::new(self.source.kind(), self.name)
    }
}

/// What in a certificate a name was taken from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IdentitySource {
    /// The common name of the subject.
    CommonName,
    /// A DNS name among the alternative names.
    Dns,
    /// A URI among the alternative names.
    Uri,
}

impl IdentitySource {
    /// The kind of the principals so named.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::CommonName => "mtls-cn",
            Self::Dns => "mtls-dns",
            Self::Uri => "mtls-uri",
        }
    }
}

/// Reads a certificate (DER) and says whom it names at `now`.
///
/// Signatures are not checked: whoever accepted the connection did. Whatever the bytes are, this returns.
///
/// # Errors
///
/// [`CredentialProblem`] if the certificate cannot be read, is not valid at `now` (both ends of its period
/// are), is one of an authority, or names nobody or several.
pub fn identify(der: &[u8], now: SystemTime) -> Result<Identity, CredentialProblem> {
    let certificate =
        Certificate::from_der(der).map_err(|_| CredentialProblem::MalformedCertificate)?;
    let certificate = certificate.tbs_certificate();

    let validity = certificate.validity();
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| CredentialProblem::ExpiredCertificate)?
        .as_secs();
    let period = validity.not_before.to_unix_duration().as_secs()
        ..=validity.not_after.to_unix_duration().as_secs();
    if !period.contains(&since_epoch) {
        return Err(CredentialProblem::ExpiredCertificate);
    }
    if is_authority(certificate)? {
        return Err(CredentialProblem::AuthorityCertificate);
    }
    alternative_name(certificate)?.map_or_else(|| common_name(certificate), Ok)
}

/// X509-SVID, sections 4.1 and 4.3, asked of every certificate.
fn is_authority(certificate: &TbsCertificate) -> Result<bool, CredentialProblem> {
    let malformed = |_| CredentialProblem::MalformedCertificate;
    let constraints = certificate
        .get_extension::<BasicConstraints>()
        .map_err(malformed)?;
    let usage = certificate.get_extension::<KeyUsage>().map_err(malformed)?;
    Ok(constraints.is_some_and(|(_, constraints)| constraints.ca)
        || usage.is_some_and(|(_, usage)| usage.key_cert_sign() || usage.crl_sign()))
}

/// `None` where only the common name is left: where there is neither URI nor DNS name (RFC 6125,
/// section 6.4.4).
fn alternative_name(certificate: &TbsCertificate) -> Result<Option<Identity>, CredentialProblem> {
    let names = certificate
        .get_extension::<SubjectAltName>()
        .map_err(|_| CredentialProblem::MalformedCertificate)?;
    let Some((_, SubjectAltName(names))) = names else {
        return Ok(None);
    };
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    });
    if let Some(uri) = uris.next() {
        if uris.next().is_some() {
            return Err(CredentialProblem::AmbiguousIdentity);
        }
        return is_uri(uri)
            .then(|| {
                Some(Identity {
                    source: IdentitySource::Uri,
                    name: uri.into(),
                })
            })
            .ok_or(CredentialProblem::MalformedCertificate);
    }

    let mut dns_names = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str()),
        _ => None,
    });
    let Some(name) = dns_names.next() else {
        return Ok(None);
    };
    // A wildcard stands for many hosts, and names none of them.
    if name.starts_with("*.") {
        return Err(CredentialProblem::AmbiguousIdentity);
    }
    is_dns_name(name)
        .then(|| {
            Some(Identity {
                source: IdentitySource::Dns,
                name: name.to_ascii_lowercase().into(),
            })
        })
        .ok_or(CredentialProblem::MalformedCertificate)
}

fn common_name(certificate: &TbsCertificate) -> Result<Identity, CredentialProblem> {
    let mut names = certificate
        .subject()
        .iter()
        .filter(|attribute| attribute.oid == COMMON_NAME);
    let name = names.next().ok_or(CredentialProblem::NoIdentity)?;
    if names.next().is_some() {
        return Err(CredentialProblem::AmbiguousIdentity);
    }
    let name = DirectoryString::try_from(&name.value)
        .map_err(|_| CredentialProblem::MalformedCertificate)?;
    let name = name.value();
    if name.trim().is_empty() {
        return Err(CredentialProblem::NoIdentity);
    }
    // It will be logged, and compared with what somebody typed.
    let is_plain = name.trim() == name && !name.chars().any(char::is_control);
    if !is_plain || name.len() > MAX_COMMON_NAME {
        return Err(CredentialProblem::MalformedCertificate);
    }
    Ok(Identity {
        source: IdentitySource::CommonName,
        name: name.into(),
    })
}

/// An absolute URI of visible characters; a SPIFFE id if it says to be one.
fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_visible = uri.len() <= MAX_URI && rest.bytes().all(|b| b.is_ascii_graphic());
    is_scheme
        && is_visible
        && !rest.is_empty()
        && (!scheme.eq_ignore_ascii_case("spiffe") || is_spiffe_id(uri))
}

/// SPIFFE-ID, sections 2.1 to 2.3. The id of a trust domain alone is an authority's (X509-SVID,
/// section 2).
fn is_spiffe_id(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("spiffe://") else {
        return false;
    };
    let Some((domain, path)) = rest.split_once('/') else {
        return false;
    };
    let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let in_path = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=255).contains(&domain.len())
        && domain.bytes().all(in_domain)
        && path.split('/').all(|segment| {
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(in_path)
        })
}

fn is_dns_name(name: &str) -> bool {
    let in_label = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    (1..=253).contains(&name.len())
        && name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(in_label))
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Four times what X.520 allows, in bytes of UTF-8.
const MAX_COMMON_NAME: usize = 256;
/// SPIFFE-ID, section 2.3.
const MAX_URI: usize = 2048;

#[cfg(test)]
mod tests;
