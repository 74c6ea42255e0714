//! Engine: what a holder can take away from a grant.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::Thumbprint;

mod restriction;

use restriction::read;
pub use restriction::{CaveatKind, Restriction};
pub(super) use restriction::{is_unknown, take};

/// Something taken away from a grant: one condition more that a request has to meet.
///
/// There are these, and no others: a token with a caveat that a server does not know is refused there. Each has
/// one encoding alone, and another spelling of the same is refused.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_plugin_auth::grant::{Caveat, CaveatKind};
///
/// let below = Caveat::path_prefix("/v1/lines")?;
/// assert_eq!(below.kind(), CaveatKind::PathPrefix);
/// assert!(Caveat::path_prefix("/v1/../secrets").is_err());
/// let _soon = Caveat::not_after(UNIX_EPOCH + Duration::from_secs(1_900_000_000))?;
/// # Ok::<_, tower_plugin_auth::grant::InvalidCaveat>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Caveat(Box<[u8]>);

impl Caveat {
    /// Only before this instant, rounded down to the second.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Time`] before 1970 or after the year 36811.
    pub fn not_after(instant: SystemTime) -> Result<Self, InvalidCaveat> {
        let since = instant.duration_since(UNIX_EPOCH);
        let seconds = since.map_err(|_| InvalidCaveat::Time)?.as_secs();
        Self::checked(CaveatKind::NotAfter, &seconds.to_be_bytes())
    }

    /// Only to this path and what is below it: `/v1/lines` covers `/v1/lines` and `/v1/lines/7`, not
    /// `/v1/lines2`. The path is the one the capability sees, and is
    /// [spelled canonically](crate::authorize::Permissions::permits).
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Path`] if it could be read in two ways, or has more than 255 bytes.
    pub fn path_prefix(path: &str) -> Result<Self, InvalidCaveat> {
        Self::checked(CaveatKind::PathPrefix, path.as_bytes())
    }

    /// Only by these HTTP methods, which are compared as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Methods`] if there is none, or one that is not upper-case letters and `-`.
    pub fn methods<'a>(methods: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidCaveat> {
        let mut methods: Vec<&str> = methods.into_iter().collect();
        methods.sort_unstable();
        methods.dedup();
        Self::checked(CaveatKind::Methods, methods.join("|").as_bytes())
    }

    /// Only calls of this gRPC or Connect method, by POST; `*` for all of the service's.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Rpc`] if `service` is not a full name such as `cache.v1.Cache`, or `method` neither a name
    /// nor `*`.
    pub fn rpc(service: &str, method: &str) -> Result<Self, InvalidCaveat> {
        if service.contains('/') {
            return Err(InvalidCaveat::Rpc);
        }
        Self::checked(CaveatKind::Rpc, format!("{service}/{method}").as_bytes())
    }

    /// Only at the server that goes by this name; one that has none refuses.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Audience`] unless it is 1 to 255 visible ASCII characters.
    pub fn audience(name: &str) -> Result<Self, InvalidCaveat> {
        Self::checked(CaveatKind::Audience, name.as_bytes())
    }

    /// Only so often: by this token and all that is derived from it, together.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::MaxUses`] if it is 0.
    pub fn max_uses(count: u32) -> Result<Self, InvalidCaveat> {
        Self::checked(CaveatKind::MaxUses, &count.to_be_bytes())
    }

    /// Only by this principal. A grant bound to its owner stays so: it is of no more use to anybody then.
    ///
    /// # Errors
    ///
    /// [`InvalidCaveat::Holder`] if one of the two is empty, or both together have more than 254 bytes.
    pub fn holder(kind: &str, subject: &str) -> Result<Self, InvalidCaveat> {
        let len = u8::try_from(kind.len()).map_err(|_| InvalidCaveat::Holder)?;
        let value = [&[len], kind.as_bytes(), subject.as_bytes()].concat();
        Self::checked(CaveatKind::Holder, &value)
    }

    /// Only on connections whose client has proved to hold this certificate.
    #[must_use]
    pub fn certificate(thumbprint: Thumbprint) -> Self {
        Self(encode(CaveatKind::Certificate, 32, thumbprint.as_bytes()))
    }

    /// Which of them it is.
    #[must_use]
    pub fn kind(&self) -> CaveatKind {
        self.restriction().kind()
    }

    /// What it says.
    #[must_use]
    pub fn restriction(&self) -> Restriction<'_> {
        // It was read when it was made. If it were not to be read now, it would have to deny everything.
        let whole = take(&self.0).map(|(_, restriction, _)| restriction);
        whole.unwrap_or(Restriction::NotAfter(UNIX_EPOCH))
    }

    /// Tag, length, value.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn checked(kind: CaveatKind, value: &[u8]) -> Result<Self, InvalidCaveat> {
        let invalid = kind.invalid();
        let len = u8::try_from(value.len()).map_err(|_| invalid)?;
        read(kind, value).ok_or(invalid)?;
        Ok(Self(encode(kind, len, value)))
    }
}

fn encode(kind: CaveatKind, len: u8, value: &[u8]) -> Box<[u8]> {
    [&[kind.tag(), len], value].concat().into()
}

impl fmt::Debug for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caveat").field(&self.restriction()).finish()
    }
}

/// A caveat that nobody could meet or everybody could read differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidCaveat {
    /// Not 1 to 255 visible ASCII characters.
    Audience,
    /// A kind or subject that is empty, or both longer than 254 bytes.
    Holder,
    /// Zero.
    MaxUses,
    /// No method, or one that is not upper-case letters and `-`.
    Methods,
    /// Not spelled canonically, or more than 255 bytes.
    Path,
    /// Not the name of a service and of a method.
    Rpc,
    /// Before 1970, or too far in the future.
    Time,
}

impl fmt::Display for InvalidCaveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audience => "audience must be 1 to 255 visible ASCII characters",
            Self::Holder => "holder must have a kind and a subject, together at most 254 bytes",
            Self::MaxUses => "max_uses must be at least 1",
            Self::Methods => "methods must be one or more of upper-case letters and '-'",
            Self::Path => "path_prefix must be spelled canonically, in at most 255 bytes",
            Self::Rpc => "rpc must be a full service name, and a method or `*`",
            Self::Time => "not_after must be between 1970 and the year 36811",
        })
    }
}

impl std::error::Error for InvalidCaveat {}
