use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    config::InvalidConfig,
    token::{Record, TokenId},
};

/// Which tokens are to be valid no longer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Revocation<'a> {
    /// These, and none of their successors.
    Tokens(&'a [TokenId]),
    /// All that came from this first token by rotation, and itself.
    Family(TokenId),
    /// All of one owner.
    Subject {
        /// The [kind](crate::Principal::kind) of the principal.
        kind: &'a str,
        /// Its [subject](crate::Principal::subject).
        subject: &'a str,
    },
    /// Every family whose first token was issued before this instant: whoever held a token then holds
    /// none now, and no successor of it.
    BegunBefore(SystemTime),
}

impl Revocation<'_> {
    /// Whether this record is among them.
    #[must_use]
    pub fn covers(&self, record: &Record) -> bool {
        match *self {
            Self::Tokens(ids) => ids.contains(&record.id()),
            Self::Family(family) => record.family() == family,
            Self::Subject { kind, subject } => is_of(record, kind, subject),
            Self::BegunBefore(instant) => record.began_at() < instant,
        }
    }
}

/// Which records to show, and from where on.
///
/// ```
/// use tower_plugin_auth::store::List;
///
/// let list = List::of_subject("runtime", "cache-plugin-7f3a").with_limit(20)?;
/// assert_eq!(list.limit(), 20);
/// assert!(List::all().with_limit(0).is_err());
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct List<'a> {
    filter: Filter<'a>,
    after: Option<Cursor>,
    limit: usize,
}

/// Which records a [`List`] is of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Filter<'a> {
    /// Every one.
    All,
    /// Those that came from this first token by rotation.
    Family(TokenId),
    /// Those of one owner.
    Subject {
        /// The [kind](crate::Principal::kind) of the principal.
        kind: &'a str,
        /// Its [subject](crate::Principal::subject).
        subject: &'a str,
    },
}

impl<'a> List<'a> {
    /// The most records on one page.
    pub const MAX_LIMIT: usize = 1000;

    /// Every record.
    pub fn all() -> Self {
        Self::of(Filter::All)
    }

    /// The tokens that came from this first one by rotation.
    pub fn of_family(family: TokenId) -> Self {
        Self::of(Filter::Family(family))
    }

    /// The tokens of one owner.
    pub fn of_subject(kind: &'a str, subject: &'a str) -> Self {
        Self::of(Filter::Subject { kind, subject })
    }

    fn of(filter: Filter<'a>) -> Self {
        Self {
            filter,
            after: None,
            limit: 100,
        }
    }

    /// At most this many on one page: 100 by default.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it is 0 or above [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub fn with_limit(mut self, limit: usize) -> Result<Self, InvalidConfig> {
        if !(1..=Self::MAX_LIMIT).contains(&limit) {
            return Err(InvalidConfig::new("limit", "between 1 and 1000"));
        }
        self.limit = limit;
        Ok(self)
    }

    /// Goes on after the last record of the page before.
    pub fn after(mut self, last: Cursor) -> Self {
        self.after = Some(last);
        self
    }

    /// How many records it asks for at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Where it goes on.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.after
    }

    /// Whether this record belongs on this page or a later one.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let is_wanted = match self.filter {
            Filter::All => true,
            Filter::Family(family) => record.family() == family,
            Filter::Subject { kind, subject } => is_of(record, kind, subject),
        };
        is_wanted && self.after.is_none_or(|after| after < Cursor::of(record))
    }

    /// Which records it asks for, wherever they are.
    #[must_use]
    pub fn filter(&self) -> Filter<'a> {
        self.filter
    }
}

/// The place of a record in the order of all: by the microsecond in which its family began, then by id.
///
/// It stays where it is however much the record changes. Its text may be shown to whoever lists tokens.
///
/// ```
/// use tower_plugin_auth::store::Cursor;
///
/// let text = "1893456000000000-000102030405060708090a0b0c0d0e0f";
/// let cursor: Cursor = text.parse()?;
/// assert_eq!(cursor.to_string(), text);
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor {
    began_micros: u64,
    id: TokenId,
}

impl Cursor {
    /// The place of this record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let since = record.began_at().duration_since(UNIX_EPOCH);
        let micros = since.unwrap_or_default().as_micros();
        Self {
            began_micros: u64::try_from(micros).unwrap_or(u64::MAX),
            id: record.id(),
        }
    }

    /// The record whose place it is.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Microseconds since 1970 at which the family began, rounded down.
    #[must_use]
    pub fn began_micros(&self) -> u64 {
        self.began_micros
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.began_micros, self.id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidConfig;

    fn from_str(text: &str) -> Result<Self, InvalidConfig> {
        let invalid = InvalidConfig::new("cursor", "one that was made here");
        let (micros, id) = text.split_once('-').ok_or(invalid)?;
        if !micros.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid);
        }
        Ok(Self {
            began_micros: micros.parse().map_err(|_| invalid)?,
            id: id.parse().map_err(|_| invalid)?,
        })
    }
}

fn is_of(record: &Record, kind: &str, subject: &str) -> bool {
    let owner = record.principal();
    owner.kind() == kind && owner.subject() == subject
}
