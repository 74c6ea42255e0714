use std::{fmt, str::FromStr};

use semver::Version;

use crate::host::fields;

/// A plugin to tell of in handshakes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownPlugin {
    /// The name it is asked for by.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Path prefix of its RPC service.
    pub service_path: String,
}

impl FromStr for KnownPlugin {
    type Err = InvalidPlugin;

    fn from_str(text: &str) -> Result<Self, InvalidPlugin> {
        let mut parts = text.splitn(3, '=');
        let (Some(name), Some(version), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPlugin(None));
        };
        fields::identifier("name", name)?;
        fields::endpoint_path("service path", path)?;
        Ok(Self {
            name: name.to_owned(),
            version: fields::version("version", version)?,
            service_path: path.to_owned(),
        })
    }
}

/// A `--plugin` that is no plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPlugin(Option<fields::InvalidField>);

impl From<fields::InvalidField> for InvalidPlugin {
    fn from(field: fields::InvalidField) -> Self {
        Self(Some(field))
    }
}

impl fmt::Display for InvalidPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(field) => field.fmt(f),
            None => f.write_str("must have the form NAME=VERSION=/SERVICE/PATH/"),
        }
    }
}

impl std::error::Error for InvalidPlugin {}
