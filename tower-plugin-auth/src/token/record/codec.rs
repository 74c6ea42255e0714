//! Engine: the binary form of a record, for stores that keep bytes.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_plugin_core::Principal;

use super::{Idle, Record, Successor};
use crate::token::{TokenId, TokenKind, Verifier};

impl Record {
    /// The bytes for a store to keep. They hold no secret, but everything else about the token.
    ///
    /// The form may grow: [`from_bytes`](Self::from_bytes) reads what any earlier release has written.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use tower_plugin_auth::{
    ///     Principal, SystemRng,
    ///     token::{KeyRing, Record, TokenKind, mint},
    /// };
    ///
    /// let minted = mint(TokenKind::Runtime, &KeyRing::random(&SystemRng)?, &SystemRng)?;
    /// let expires_at = UNIX_EPOCH + Duration::from_secs(60);
    /// let record = Record::new(&minted, Principal::new("runtime", "cache"), UNIX_EPOCH, expires_at);
    ///
    /// let read = Record::from_bytes(&record.to_bytes())?;
    /// assert_eq!(read.principal(), record.principal());
    /// assert!(Record::from_bytes(b"hunter2").is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256);
        out.byte(FORMAT);
        out.byte(match self.kind {
            TokenKind::Grant => b'g',
            TokenKind::OneTime => b'o',
            TokenKind::Runtime => b'r',
        });
        out.bytes(self.id.as_bytes());
        out.bytes(&self.key_version.to_be_bytes());
        out.bytes(self.verifier.as_bytes());
        out.number(self.version);
        out.time(self.issued_at);
        out.time(self.expires_at);
        out.bytes(self.family.as_bytes());
        out.time(self.began_at);
        out.option(self.deadline, Writer::time);
        out.option(self.idle, |out, idle| {
            out.number(nanos(idle.timeout));
            out.time(idle.last_used);
        });
        out.option(self.successor, |out, successor| {
            out.bytes(successor.id.as_bytes());
            out.time(successor.overlap_until);
        });
        out.principal(&self.principal);
        out.into_bytes()
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`] if these are not the bytes of a record, or more than those.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let mut reader = Reader::new(bytes);
        let record = reader.record().ok_or(InvalidRecord(()))?;
        if !reader.is_at_end() {
            return Err(InvalidRecord(()));
        }
        Ok(record)
    }
}

/// Bytes that are not a record's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidRecord(());

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the bytes of a token record")
    }
}

impl std::error::Error for InvalidRecord {}

pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Kind, subject and attributes. The id of a token is that of its record.
    pub(crate) fn principal(&mut self, principal: &Principal) {
        self.text(principal.kind());
        self.text(principal.subject());
        self.count(principal.attributes().count());
        for (name, value) in principal.attributes() {
            self.text(name);
            self.text(value);
        }
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    /// What is too many to count is refused when it is read.
    pub(crate) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.bytes(&count.to_be_bytes());
    }

    /// Earlier than 1970 is kept as 1970 and later than 2554 as 2554: an expiry never moves out.
    pub(crate) fn time(&mut self, time: SystemTime) {
        self.number(nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default()));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn record(&mut self) -> Option<Record> {
        if self.byte()? != FORMAT {
            return None;
        }
        let kind = match self.byte()? {
            b'g' => TokenKind::Grant,
            b'o' => TokenKind::OneTime,
            b'r' => TokenKind::Runtime,
            _ => return None,
        };
        let id = self.id()?;
        let key_version = u32::from_be_bytes(*self.array()?);
        let verifier = Verifier::from_bytes(*self.array()?);
        let version = self.number()?;
        let (issued_at, expires_at) = (self.time()?, self.time()?);
        let (family, began_at) = (self.id()?, self.time()?);
        let deadline = self.option(Self::time)?;
        let idle = self.option(|reader| {
            Some(Idle {
                timeout: Duration::from_nanos(reader.number()?),
                last_used: reader.time()?,
            })
        })?;
        let successor = self.option(|reader| {
            Some(Successor {
                id: reader.id()?,
                overlap_until: reader.time()?,
            })
        })?;
        let record = Record {
            id,
            kind,
            key_version,
            verifier,
            principal: self.principal()?.with_token_id(id.to_string()),
            issued_at,
            expires_at,
            live_until: expires_at,
            family,
            began_at,
            deadline,
            idle,
            successor,
            version,
        };
        Some(record.bounded())
    }

    pub(crate) fn principal(&mut self) -> Option<Principal> {
        let kind = self.text()?;
        let subject = self.text()?;
        let mut principal = match kind {
            "runtime" => Principal::new("runtime", subject),
            other => Principal::new(other.to_owned(), subject),
        };
        let attributes = self.count().filter(|count| *count <= MAX_ATTRIBUTES)?;
        for _ in 0..attributes {
            principal = principal.with_attribute(self.text()?, self.text()?);
        }
        Some(principal)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(*byte)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.array()?))
    }

    pub(crate) fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(*self.array()?)).ok()
    }

    pub(crate) fn id(&mut self) -> Option<TokenId> {
        Some(TokenId::from_bytes(*self.array()?))
    }

    pub(crate) fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.number()?))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.count()?;
        str::from_utf8(self.take(len)?).ok()
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The most attributes the owner of a token may have.
pub(crate) const MAX_ATTRIBUTES: usize = 64;

/// The first byte; another one is another form.
const FORMAT: u8 = 1;
