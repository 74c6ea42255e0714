//! Engine: what single values look like: identifiers, versions, host names, addresses, URLs, paths.
//!
//! Every function reads its input a fixed number of times, by tables and not by regular
//! expressions, allocates nothing and never repeats what it was given. Each format has one spelling
//! of "too long", so that a caller needs no second check.
//!
//! They are usable on any text: on fields of a message as well as on header values, where
//! [`Rule`](crate::metadata::Rule) applies them.
//!
//! ```
//! use tower_plugin_validate::format::{self, Format, UrlRule};
//!
//! assert!(format::uuid("7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11").is_ok());
//! assert!(format::service_type("cache.v1.Cache").is_ok());
//!
//! let invalid = format::service_type("../secrets").unwrap_err();
//! assert_eq!(invalid.format(), Format::ServiceType);
//! assert_eq!(invalid.reason(), "SERVICE_TYPE");
//!
//! assert!(UrlRule::https().check("https://api.example.com/v1").is_ok());
//! assert!(UrlRule::https().check("https://169.254.169.254/latest/meta-data").is_err());
//! ```

mod address;
mod email;
mod file;
mod functions;
mod host;
mod path;
mod scan;
mod semver;
mod text;
mod url;
mod urn;
mod uuid;
mod word;

pub use address::is_public;
pub use file::FileRoot;
pub use functions::{
    display_name, email, endpoint_path, file_path, fqdn, metadata_key, self_id, semver,
    semver_lenient, service_type, urn, uuid,
};
pub use url::{Hosts, InvalidHosts, InvalidUrl, UrlRule};

use core::fmt;

/// A form that a value can have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// See [`display_name`].
    DisplayName,
    /// See [`email()`].
    Email,
    /// See [`endpoint_path`].
    EndpointPath,
    /// See [`file_path`].
    FilePath,
    /// See [`fqdn`].
    Fqdn,
    /// See [`metadata_key`].
    MetadataKey,
    /// See [`self_id`].
    SelfId,
    /// See [`semver()`].
    Semver,
    /// See [`semver_lenient`].
    SemverLenient,
    /// See [`service_type`].
    ServiceType,
    /// See [`urn()`].
    Urn,
    /// See [`uuid()`].
    Uuid,
}

impl Format {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// [`InvalidFormat`] if it is empty, longer than [`max_bytes`](Self::max_bytes) or of another
    /// form.
    #[inline]
    pub fn check<T: AsRef<[u8]> + ?Sized>(self, text: &T) -> Result<(), InvalidFormat> {
        let text = text.as_ref();
        if !text.is_empty() && text.len() <= self.max_bytes() && self.fits(text) {
            Ok(())
        } else {
            Err(InvalidFormat { format: self })
        }
    }

    /// Each format by itself, so that a short one saves no registers for a long one.
    fn fits(self, text: &[u8]) -> bool {
        match self {
            Self::DisplayName => text::is_display_name(text),
            Self::Email => email::is_email(text),
            Self::EndpointPath => path::is_endpoint(text),
            Self::FilePath => path::is_file(text),
            Self::Fqdn => host::is_domain(text),
            Self::MetadataKey | Self::SelfId | Self::ServiceType => word::is_name(text),
            Self::Semver => semver::is_exact(text),
            Self::SemverLenient => semver::is_lenient(text),
            Self::Urn => urn::is_urn(text),
            Self::Uuid => uuid::is_uuid(text),
        }
    }

    /// The longest value of this form, in bytes.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::DisplayName | Self::Urn => 512,
            Self::Email => 254,
            Self::EndpointPath | Self::MetadataKey | Self::Semver => 256,
            Self::FilePath => 1024,
            Self::Fqdn => 253,
            Self::SelfId | Self::ServiceType => 128,
            Self::SemverLenient => 64,
            Self::Uuid => 36,
        }
    }

    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DisplayName => "DISPLAY_NAME",
            Self::Email => "EMAIL",
            Self::EndpointPath => "ENDPOINT_PATH",
            Self::FilePath => "FILE_PATH",
            Self::Fqdn => "FQDN",
            Self::MetadataKey => "METADATA_KEY",
            Self::SelfId => "SELF_ID",
            Self::Semver | Self::SemverLenient => "SEMVER",
            Self::ServiceType => "SERVICE_TYPE",
            Self::Urn => "URN",
            Self::Uuid => "UUID",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::DisplayName => "must be 1 to 128 printable characters without spaces at the ends",
            Self::Email => "must be an email address",
            Self::EndpointPath => {
                "must be an absolute path of plain segments, of at most 256 bytes"
            }
            Self::FilePath => "must be a relative file path of plain segments",
            Self::Fqdn => "must be a fully qualified host name",
            Self::MetadataKey => {
                "must be a letter, then letters, digits, _, - and single dots, of at most 256 bytes"
            }
            Self::SelfId | Self::ServiceType => {
                "must be a letter, then letters, digits, _, - and single dots, of at most 128 bytes"
            }
            Self::Semver => "must be a semantic version such as 1.4.0",
            Self::SemverLenient => "must be a version such as 1.4.0 or 1.4.0-rc.1",
            Self::Urn => "must be a URN",
            Self::Uuid => "must be a UUID with hyphens",
        }
    }
}

/// A value that has not the form it must have. Holds nothing of the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidFormat {
    format: Format,
}

impl InvalidFormat {
    /// The form it must have.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.format.reason()
    }
}

impl fmt::Display for InvalidFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.description())
    }
}

impl core::error::Error for InvalidFormat {}

#[cfg(test)]
mod tests;
