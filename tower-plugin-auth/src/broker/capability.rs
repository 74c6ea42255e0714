use std::{num::NonZeroU32, time::Duration};

use semver::Version;

use crate::{authorize::Permission, config::InvalidConfig, grant::GrantRecord};

/// Something that may be granted: a type, a version, and what its grants permit.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_auth::Capability;
///
/// let logger = Capability::new("logger", "1.2.0")?
///     .with_permission("POST /capability.logger.v1.Logger/*".parse()?)
///     .with_ttl(Duration::from_secs(600))
///     .with_endpoint("https://host.example:8443")?;
/// assert_eq!(logger.kind(), "logger");
/// assert!(Capability::new("../logger", "1.2.0").is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Capability {
    kind: Box<str>,
    version: Version,
    permissions: Vec<Permission>,
    endpoint: Option<Box<str>>,
    ttl: Duration,
    max_uses: Option<NonZeroU32>,
}

impl Capability {
    /// Names a type, which is one segment of a path, and its version by [Semantic Versioning](https://semver.org).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if `kind` is not 1 to 128 letters, digits, `.`, `_` and `-` that begin with a letter and have
    /// no two dots in a row, or `version` is none.
    pub fn new(kind: &str, version: &str) -> Result<Self, InvalidConfig> {
        if !is_kind(kind) {
            return Err(InvalidConfig::new(
                "capability",
                "a letter, then letters, digits, '.', '_' and '-', without two dots in a row, at most 128 bytes",
            ));
        }
        Ok(Self {
            kind: kind.into(),
            version: parse("version", version)?,
            permissions: Vec::new(),
            endpoint: None,
            ttl: Duration::from_secs(60 * 60),
            max_uses: None,
        })
    }

    /// Its grants permit this, too: methods and paths as the capability itself knows them, without what stands in
    /// front. An `{attribute}` in it is one of the principal's.
    pub fn with_permission(mut self, permission: Permission) -> Self {
        self.permissions.push(permission);
        self
    }

    /// Where it is: what stands in front of `/capabilities/…` in the address of a grant.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it does not begin with `http://` or `https://`, has a query or a slash at its end, or more
    /// than 1024 bytes.
    pub fn with_endpoint(mut self, base: &str) -> Result<Self, InvalidConfig> {
        let rest = base
            .strip_prefix("https://")
            .or(base.strip_prefix("http://"));
        let is_base = rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()) && !rest.ends_with('/')
        });
        if !is_base || base.len() > 1024 || base.contains(['?', '#', '@']) {
            return Err(InvalidConfig::new(
                "endpoint",
                "an http:// or https:// address without user, query and slash at its end, at most 1024 bytes",
            ));
        }
        self.endpoint = Some(base.into());
        Ok(self)
    }

    /// How long its grants live: 1 hour by default, between the floor of 1 minute and 10 years. Who asks for one may
    /// ask for less.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How often each of its grants may be used: without limit by default. Who asks for one may ask for less.
    pub fn with_max_uses(mut self, count: NonZeroU32) -> Self {
        self.max_uses = Some(count);
        self
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// Where it is, if that was said.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// How long its grants live.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether it is this version or one that takes precedence over it.
    pub(super) fn is_at_least(&self, version: &Version) -> bool {
        self.version.cmp_precedence(version).is_ge()
    }

    /// What its grants say.
    pub(super) fn describe(&self, record: GrantRecord) -> GrantRecord {
        let record = record.with_version(&self.version());
        let record = self
            .permissions
            .iter()
            .cloned()
            .fold(record, GrantRecord::with_permission);
        match self.max_uses {
            Some(count) => record.with_max_uses(count),
            None => record,
        }
    }

    pub(super) fn check(&self, min_ttl: Duration) -> Result<(), InvalidConfig> {
        if !(1..=MAX_PERMISSIONS).contains(&self.permissions.len()) {
            return Err(InvalidConfig::new("permissions", "1 to 16"));
        }
        if !(min_ttl..=MAX_TTL).contains(&self.ttl) {
            return Err(InvalidConfig::new(
                "ttl",
                "between the floor of 1 minute and 10 years",
            ));
        }
        Ok(())
    }
}

/// Safe as one segment of a path.
pub(crate) fn is_kind(kind: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    kind.len() <= 128
        && kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.bytes().all(is_allowed)
        && !kind.contains("..")
}

pub(super) fn parse(field: &'static str, version: &str) -> Result<Version, InvalidConfig> {
    let invalid = InvalidConfig::new(field, "a semantic version, e.g. 1.2.0, of at most 64 bytes");
    if version.len() > 64 {
        return Err(invalid);
    }
    Version::parse(version).map_err(|_| invalid)
}

/// The shortest lifetime anyone needs outside a test.
pub(super) const FLOOR: Duration = Duration::from_secs(60);

/// Ten years: what is meant to last longer was not meant to expire.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub(super) const MAX_PERMISSIONS: usize = 16;
